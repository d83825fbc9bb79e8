/** Alerts that fire now: how bad, what about, since when, and whether somebody was told. */
import { Link } from "@tanstack/react-router";
import type { Alert, AlertRule } from "@/api/alerts";
import { severityState } from "@/components/status/states";
import { StatusBadge } from "@/components/status/StatusBadge";
import { PlainTable } from "@/components/table/PlainTable";
import { RelativeTime, SinceTime } from "@/components/time/RelativeTime";
import { useNow } from "@/components/time/ticker";
import { tellingOf } from "./alert-words";
import { Finding, RuleName } from "./cells";

interface Props {
  alerts: Alert[];
  rules: AlertRule[] | undefined;
}

export function Firing({ alerts, rules }: Props) {
  return (
    <PlainTable
      label="Firing alerts"
      rows={alerts}
      idOf={(alert) => alert.id}
      columns={[
        { head: "Severity", cell: (alert) => <StatusBadge state={severityState(alert.severity)} /> },
        { head: "Alert", isLead: true, cell: (alert) => <Finding alert={alert} /> },
        { head: "Rule", isText: true, cell: (alert) => <RuleName id={alert.rule_id} rules={rules} /> },
        { head: "For", cell: (alert) => <SinceTime value={alert.fired_at} /> },
        {
          head: "Told",
          cell: (alert) => <Told alert={alert} rule={rules?.find((rule) => rule.id === alert.rule_id)} />,
        },
      ]}
    />
  );
}

function Told({ alert, rule }: { alert: Alert; rule: AlertRule | undefined }) {
  const now = useNow(Date.parse(alert.fired_at));
  const telling = tellingOf(alert, rule, now);
  switch (telling.kind) {
    case "told":
      return <RelativeTime value={telling.at} />;
    case "soon":
      return <span className="ink-3">not yet</span>;
    case "no_channel":
      return (
        <Link to="/dashboard/alerts" search={{ tab: "rules", edit: alert.rule_id }}>
          nobody: no channel
        </Link>
      );
    case "held":
      return (
        <span className="ink-2">
          Held until {telling.until}
          <span className="ink-3"> ({telling.why})</span>
        </span>
      );
  }
}
