/** Alerts that have resolved, newest first, of all rules or of one. */
import { Button, Select } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { type Alert, type AlertRule, ALERTS_POLL_MS, alertsQuery } from "@/api/alerts";
import { EmptyState } from "@/components/feedback/EmptyState";
import { ErrorState } from "@/components/feedback/ErrorState";
import { Skeletons } from "@/components/feedback/Skeletons";
import { Card } from "@/components/page/Card";
import { severityState } from "@/components/status/states";
import { StatusBadge } from "@/components/status/StatusBadge";
import { PlainTable } from "@/components/table/PlainTable";
import { ExactOnHover, RelativeTime } from "@/components/time/RelativeTime";
import { lasting } from "@/lib/words/times";
import pages from "../pages.module.css";
import { Finding, RuleName } from "./cells";

interface Props {
  rules: AlertRule[] | undefined;
  ruleId: string | undefined;
  onRule: (id: string | undefined) => void;
}

export function History({ rules, ruleId, onRule }: Props) {
  const list = useInfiniteQuery({
    ...alertsQuery(ruleId),
    // Later pages stay as they were read, so that nothing moves under the reader.
    refetchInterval: (query) => (query.state.data?.pages.length === 1 ? ALERTS_POLL_MS : false),
  });
  const alerts = list.data?.pages.flatMap((page) => page.alerts) ?? [];
  const resolved = alerts.filter((alert) => alert.resolved_at);
  return (
    <Card
      title="History"
      aside={
        <Select
          aria-label="Rule"
          size="xs"
          data={[
            { value: "", label: "All rules" },
            ...(rules ?? []).map((rule) => ({ value: rule.id, label: rule.name })),
          ]}
          searchable={(rules?.length ?? 0) > 8}
          value={ruleId ?? ""}
          onChange={(id) => onRule(id || undefined)}
        />
      }
    >
      {list.isError && <ErrorState what="Alerts" error={list.error} onRetry={() => void list.refetch()} />}
      {list.isPending && <Skeletons rows={4} />}
      {list.isSuccess && resolved.length === 0 && !list.hasNextPage && (
        <EmptyState title="No alert has resolved">
          {ruleId === undefined
            ? "Resolved alerts are kept for 30 days."
            : "None of this rule, within the 30 days that are kept."}
        </EmptyState>
      )}
      {resolved.length > 0 && <Resolved alerts={resolved} rules={rules} />}
      {list.hasNextPage && (
        <div className={pages.sum}>
          <Button loading={list.isFetchingNextPage} onClick={() => void list.fetchNextPage()}>
            Show older alerts
          </Button>
        </div>
      )}
    </Card>
  );
}

function Resolved({ alerts, rules }: { alerts: Alert[]; rules: AlertRule[] | undefined }) {
  return (
    <PlainTable
      label="Resolved alerts"
      rows={alerts}
      idOf={(alert) => alert.id}
      columns={[
        {
          head: "Severity",
          // Over, and so without colour.
          cell: (alert) => <StatusBadge state={{ ...severityState(alert.severity), tone: "idle" }} />,
        },
        { head: "Alert", isLead: true, cell: (alert) => <Finding alert={alert} /> },
        { head: "Rule", isText: true, cell: (alert) => <RuleName id={alert.rule_id} rules={rules} /> },
        {
          head: "Told",
          isMinor: true,
          cell: (alert) =>
            alert.notified_at ? (
              <RelativeTime value={alert.notified_at} />
            ) : (
              <span className="ink-3">never</span>
            ),
        },
        { head: "Resolved", cell: (alert) => <RelativeTime value={alert.resolved_at ?? alert.fired_at} /> },
        { head: "Lasted", isNumber: true, cell: (alert) => <Lasted alert={alert} /> },
      ]}
    />
  );
}

function Lasted({ alert }: { alert: Alert }) {
  const end = alert.resolved_at ?? alert.fired_at;
  return (
    <ExactOnHover value={alert.fired_at}>
      <span>{lasting(new Date(alert.fired_at), new Date(end))}</span>
    </ExactOnHover>
  );
}
