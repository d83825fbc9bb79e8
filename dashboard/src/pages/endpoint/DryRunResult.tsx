/** Result of the dry run of a recovery or replay. */
import { Link } from "@tanstack/react-router";
import type { EndpointHealth } from "@/api/endpoints";
import type { DryRun as DryRunNumbers } from "@/api/jobs";
import { DryRun, SAMPLE, SampleNote, SampleRow } from "@/components/dry-run/DryRun";
import type { DryRunState } from "@/components/dry-run/useDryRun";
import { IdCopy } from "@/components/status/IdCopy";
import { deliveryState, messageState } from "@/components/status/states";
import { StatusBadge } from "@/components/status/StatusBadge";
import { RelativeTime } from "@/components/time/RelativeTime";
import { span } from "@/lib/words/durations";
import { count } from "@/lib/words/numbers";
import { secondsUntilArrived } from "./recover";

interface Props {
  state: DryRunState<DryRunNumbers>;
  health: EndpointHealth | undefined;
  limit: number | null | undefined;
  endpointId: string;
  since: string | null;
}

export function DryRunResult({ state, health, limit, endpointId, since }: Props) {
  const result = state.counted?.result;
  const arrived = result ? secondsUntilArrived(result, health, limit) : null;
  const sample = result?.sample.slice(0, SAMPLE) ?? [];
  const more = (result?.count ?? 0) - sample.length;
  const behind =
    health && health.backlog.pending > 0 ? `, behind ${count(health.backlog.pending)} waiting` : "";
  return (
    <DryRun
      state={state}
      figures={[
        [result && `${count(result.count)}${result.is_complete ? "" : "+"}`, "deliveries become pending"],
        [
          result && span(result.duration_s),
          `to queue them${result ? ` at ${count(result.rate_limit)} a second` : ""}`,
        ],
        [result && (arrived === null ? "not known" : span(arrived)), `until all arrive${behind}`],
        [result && count(result.payload_expired), "left out, payload expired"],
      ]}
    >
      {sample.map((one) => (
        <SampleRow key={one.id}>
          <StatusBadge state={stateOf(one.status)} />
          <span className="name cut">{one.event_type}</span>
          <IdCopy value={one.id} />
          <span className="small ink-2 number">
            <RelativeTime value={one.created_at} />
          </span>
        </SampleRow>
      ))}
      {more > 0 && (
        <SampleNote>
          <span className="small ink-2">and {count(more)} more.</span>
          <Link
            className="small"
            to="/dashboard/messages"
            search={{ endpoint_id: endpointId, ...(since ? { since } : {}) }}
          >
            See them in Messages
          </Link>
        </SampleNote>
      )}
      {result?.count === 0 && (
        <SampleNote>
          <span className="small ink-2">Nothing matches.</span>
          <span className="small ink-2">Choose an earlier start, or other deliveries.</span>
        </SampleNote>
      )}
    </DryRun>
  );
}

function stateOf(status: string | null | undefined) {
  if (status === "delivered") return messageState("delivered");
  return deliveryState({ status: status ?? "missing", attempt_count: 0 });
}
