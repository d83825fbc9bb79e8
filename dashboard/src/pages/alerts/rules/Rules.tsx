/** Alert rules of the environment. */
import { Button, Switch } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { IconBell } from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import {
  type Alert,
  type AlertRule,
  type Channel,
  deleteAlertRule,
  refreshRules,
  updateAlertRule,
} from "@/api/alerts";
import { sentenceOf } from "@/api/errors";
import { ConfirmDialog } from "@/components/feedback/ConfirmDialog";
import { EmptyState } from "@/components/feedback/EmptyState";
import { toast } from "@/components/feedback/toast";
import { plainState, severityState } from "@/components/status/states";
import { StatusBadge } from "@/components/status/StatusBadge";
import { PlainTable } from "@/components/table/PlainTable";
import { RelativeTime } from "@/components/time/RelativeTime";
import { listOf, objectOf } from "@/lib/json/json";
import { count, counted } from "@/lib/words/numbers";
import { worstOf } from "../alert-words";
import classes from "../alerts.module.css";
import { conditionWords } from "./condition-words";
import { ScopeName } from "./ScopeName";

interface Props {
  rules: AlertRule[];
  /** Channels by id; undefined while they load. */
  channels: Channel[] | undefined;
  firing: Alert[];
  mayWrite: boolean;
  onCreate: () => void;
  onEdit: (rule: AlertRule) => void;
}

export function Rules({ rules, channels, firing, mayWrite, onCreate, onEdit }: Props) {
  const [deleted, setDeleted] = useState<AlertRule | null>(null);
  const turning = useMutation({
    mutationFn: ({ rule, isOn }: { rule: AlertRule; isOn: boolean }) =>
      updateAlertRule(rule.id, { enabled: isOn ? 1 : 0 }),
    onSuccess: (_, { rule, isOn }) => {
      const alerts = firing.filter((alert) => alert.rule_id === rule.id).length;
      if (isOn || alerts === 0) return;
      toast(`${rule.name} is disabled. ${counted(alerts, "alert resolves", "alerts resolve")}.`, () =>
        turning.mutate({ rule, isOn: true }),
      );
    },
    onError: (error) => toast(sentenceOf(error)),
    onSettled: refreshRules,
  });
  const turningId = turning.isPending ? turning.variables.rule.id : null;
  if (rules.length === 0) return <NoRules mayWrite={mayWrite} onCreate={onCreate} />;
  return (
    <>
      <PlainTable
        label="Rules"
        rows={rules}
        idOf={(rule) => rule.id}
        columns={[
          {
            head: "Status",
            cell: (rule) => (
              <RuleState rule={rule} firing={firing.filter((alert) => alert.rule_id === rule.id)} />
            ),
          },
          {
            head: "Rule",
            isLead: true,
            cell: (rule) => (
              <div className={classes.finding}>
                <Name rule={rule} onEdit={mayWrite ? onEdit : undefined} />
                <span className="small ink-2">
                  {conditionWords(rule.rule_type, objectOf(rule.rule_config))}
                  <ScopeName rule={rule} />
                </span>
                {rule.description && <span className="small ink-3">{rule.description}</span>}
              </div>
            ),
          },
          { head: "Channels", isText: true, cell: (rule) => <Told rule={rule} channels={channels} /> },
          {
            head: "Last triggered",
            isMinor: true,
            cell: (rule) =>
              rule.last_triggered_at ? (
                <RelativeTime value={rule.last_triggered_at} />
              ) : (
                <span className="ink-3">never</span>
              ),
          },
          {
            head: "Times",
            isNumber: true,
            cell: (rule) =>
              rule.trigger_count === 0 ? (
                <span className="ink-3">0</span>
              ) : (
                <Link to="/dashboard/alerts" search={{ rule: rule.id }}>
                  {count(rule.trigger_count)}
                </Link>
              ),
          },
          ...(mayWrite
            ? [
                {
                  head: "Enabled",
                  cell: (rule: AlertRule) => (
                    <Switch
                      aria-label={`${rule.name} is enabled`}
                      checked={turningId === rule.id ? turning.variables?.isOn === true : rule.enabled === 1}
                      disabled={turningId === rule.id}
                      onChange={(event) => turning.mutate({ rule, isOn: event.currentTarget.checked })}
                    />
                  ),
                },
                {
                  head: "Acts",
                  cell: (rule: AlertRule) => (
                    <span className="row row-end">
                      <Button aria-label={`Edit ${rule.name}`} onClick={() => onEdit(rule)}>
                        Edit
                      </Button>
                      <Button aria-label={`Delete ${rule.name}…`} onClick={() => setDeleted(rule)}>
                        Delete…
                      </Button>
                    </span>
                  ),
                },
              ]
            : []),
        ]}
      />
      <ConfirmDialog
        isOpen={deleted !== null}
        onClose={() => setDeleted(null)}
        title={`Delete ${deleted?.name ?? ""}?`}
        verb="Delete"
        isDangerous
        act={async () => {
          if (deleted) await deleteAlertRule(deleted.id);
          await refreshRules();
        }}
      >
        Its alerts are deleted with it, the history included. Channels that were told of an alert are told
        that it is resolved. This cannot be undone; the switch disables a rule and keeps it.
      </ConfirmDialog>
    </>
  );
}

function RuleState({ rule, firing }: { rule: AlertRule; firing: Alert[] }) {
  if (rule.enabled !== 1) return <StatusBadge state={plainState("disabled")} />;
  if (firing.length === 0) return <StatusBadge state={plainState("active")} />;
  return (
    <StatusBadge state={{ ...severityState(worstOf(firing)), word: `${count(firing.length)} firing` }} />
  );
}

function Name({ rule, onEdit }: { rule: AlertRule; onEdit: ((rule: AlertRule) => void) | undefined }) {
  if (onEdit === undefined) return <span className="name">{rule.name}</span>;
  return (
    <Link to="/dashboard/alerts" search={{ tab: "rules", edit: rule.id }} className="link-plain name">
      {rule.name}
    </Link>
  );
}

/** Names of the channels that a rule tells; those that were deleted are counted. */
function Told({ rule, channels }: { rule: AlertRule; channels: Channel[] | undefined }) {
  const ids = listOf(rule.channel_ids);
  if (ids.length === 0) return <span className="ink-3">none</span>;
  if (channels === undefined) return null;
  const known = channels.filter((channel) => ids.includes(channel.id));
  const gone = ids.length - known.length;
  return (
    <>
      {known.map((channel) => channel.name).join(", ")}
      {gone > 0 && (
        <span className="ink-3">
          {known.length > 0 && ", "}
          {gone} deleted
        </span>
      )}
    </>
  );
}

/** Place of the rules while there are none. */
export function NoRules({ mayWrite, onCreate }: { mayWrite: boolean; onCreate: () => void }) {
  return (
    <EmptyState
      icon={IconBell}
      title="No rule watches this environment"
      actions={
        <>
          {mayWrite && (
            <Button variant="filled" onClick={onCreate}>
              Create rule…
            </Button>
          )}
          <Button component="a" href="/docs/guide/guides/alerts">
            Read about alerts
          </Button>
        </>
      }
    >
      A rule looks at failures, latency, volume or the backlog, and tells your team in a chat, by email or on
      a pager. Begin with one of the type Problems.
      {!mayWrite && " Your role reads them; a developer or an administrator creates them."}
    </EmptyState>
  );
}
