/** Result of a dry run: how many, how long, a sample of three, and what is left out. Its size stays while it counts. */
import { Link } from "@tanstack/react-router";
import { IconFlask } from "@tabler/icons-react";
import type { EndpointHealth } from "@/api/endpoints";
import type { DryRun } from "@/api/jobs";
import { ActError } from "@/components/feedback/ErrorState";
import { IdCopy } from "@/components/status/IdCopy";
import { deliveryState, messageState } from "@/components/status/states";
import { StatusBadge } from "@/components/status/StatusBadge";
import { RelativeTime } from "@/components/time/RelativeTime";
import { duration, span } from "@/lib/words/durations";
import { count } from "@/lib/words/numbers";
import { secondsUntilArrived } from "./recover";
import classes from "./Recover.module.css";

interface Props {
  counted: { result: DryRun; tookMs: number; at: number } | undefined;
  error: unknown;
  isFresh: boolean;
  health: EndpointHealth | undefined;
  limit: number | null | undefined;
  endpointId: string;
  since: string | null;
}

const SAMPLE = 3;

export function DryRunResult({ counted, error, isFresh, health, limit, endpointId, since }: Props) {
  const result = counted?.result;
  const arrived = result ? secondsUntilArrived(result, health, limit) : null;
  const sample = result?.sample.slice(0, SAMPLE) ?? [];
  const more = (result?.count ?? 0) - sample.length;
  return (
    <section className={classes.result} aria-live="polite" data-stale={!isFresh || undefined}>
      <div className={classes.resultHead}>
        <h3 className="row">
          <IconFlask size={15} stroke={1.7} /> Dry run: nothing has been sent
        </h3>
        <span className="small ink-3">
          {counted ? `counted in ${duration(Math.round(counted.tookMs))}` : "counting"}
        </span>
      </div>
      {error ? (
        <ActError error={error} />
      ) : (
        <>
          <div className={classes.numbers}>
            <Number value={result ? `${count(result.count)}${result.is_complete ? "" : "+"}` : "\u2007"}>
              deliveries become pending
            </Number>
            <Number value={result ? span(result.duration_s) : "\u2007"}>
              to queue them{result ? ` at ${count(result.rate_limit)} a second` : ""}
            </Number>
            <Number value={result ? (arrived === null ? "not known" : span(arrived)) : "\u2007"}>
              until all arrive
              {health && health.backlog.pending > 0
                ? `, behind ${count(health.backlog.pending)} waiting`
                : ""}
            </Number>
            <Number value={result ? count(result.payload_expired) : "\u2007"}>
              left out, payload expired
            </Number>
          </div>
          <div className={classes.sample}>
            {sample.map((one) => (
              <div key={one.id} className={classes.sampleRow}>
                <StatusBadge state={stateOf(one.status)} />
                <span className="name cut">{one.event_type}</span>
                <IdCopy value={one.id} />
                <span className="small ink-2 number">
                  <RelativeTime value={one.created_at} />
                </span>
              </div>
            ))}
            {more > 0 && (
              <div className={classes.sampleRow} data-note>
                <span className="small ink-2">and {count(more)} more.</span>
                <Link
                  className="small"
                  to="/dashboard/messages"
                  search={{ endpoint_id: endpointId, ...(since ? { since } : {}) }}
                >
                  See them in Messages
                </Link>
              </div>
            )}
            {result?.count === 0 && (
              <div className={classes.sampleRow} data-note>
                <span className="small ink-2">Nothing matches.</span>
                <span className="small ink-2">Choose an earlier start, or other deliveries.</span>
              </div>
            )}
          </div>
        </>
      )}
    </section>
  );
}

function Number({ value, children }: { value: string; children: React.ReactNode }) {
  return (
    <span className={classes.number}>
      <strong>{value}</strong>
      <span>{children}</span>
    </span>
  );
}

function stateOf(status: string | null | undefined) {
  if (status === "delivered") return messageState("delivered");
  return deliveryState({ status: status ?? "missing", attempt_count: 0 });
}
