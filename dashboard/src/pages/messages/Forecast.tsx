/** Result of the dry run of a retry: how many, to whom, how long, a sample of three, and what is left out. */
import { IconFlask } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { nameOf, useEndpointsById } from "@/api/endpoints";
import type { RetryForecast } from "@/api/jobs";
import { ActError } from "@/components/feedback/ErrorState";
import { deliveryState } from "@/components/status/states";
import { StatusBadge } from "@/components/status/StatusBadge";
import { RelativeTime } from "@/components/time/RelativeTime";
import { duration, span } from "@/lib/words/durations";
import { shortId } from "@/lib/words/ids";
import { count, counted as countOf } from "@/lib/words/numbers";
import classes from "../endpoint/Recover.module.css";

interface Props {
  counted: { result: RetryForecast; tookMs: number } | undefined;
  error: unknown;
  isFresh: boolean;
}

const SAMPLE = 3;

export function Forecast({ counted, error, isFresh }: Props) {
  const result = counted?.result;
  const sample = result?.sample.slice(0, SAMPLE) ?? [];
  const endpoints = useEndpointsById(
    sample.map((one) => ({ appId: one.application_id, id: one.endpoint_id })),
  );
  const more = (result?.count ?? 0) - sample.length;
  const orMore = result?.is_complete === false ? "+" : "";
  const leftOut = result?.endpoints_left_out ?? 0;
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
            <Number value={result && `${count(result.count)}${orMore}`}>deliveries become pending</Number>
            <Number value={result && count(result.endpoint_count)}>
              {result?.endpoint_count === 1 ? "endpoint gets them" : "endpoints get them"}
            </Number>
            <Number value={result && span(result.duration_s)}>
              to queue them{result ? ` at ${count(result.rate_limit)} a second each` : ""}
            </Number>
            <Number value={result && count(result.payload_expired)}>left out, payload expired</Number>
          </div>
          <div className={classes.sample}>
            {sample.map((one) => {
              const endpoint = endpoints.get(one.endpoint_id);
              return (
                <div key={`${one.id} ${one.endpoint_id}`} className={classes.sampleRow}>
                  <StatusBadge
                    state={deliveryState({ status: one.status ?? "exhausted", attempt_count: 0 })}
                  />
                  <span className="name cut">{one.event_type}</span>
                  <span className="cut ink-2">{endpoint ? nameOf(endpoint) : shortId(one.endpoint_id)}</span>
                  <span className="small ink-2 number">
                    <RelativeTime value={one.created_at} />
                  </span>
                </div>
              );
            })}
            {more > 0 && (
              <div className={classes.sampleRow} data-note>
                <span className="small ink-2">
                  and {count(more)}
                  {orMore} more.
                </span>
              </div>
            )}
            {result?.count === 0 && (
              <div className={classes.sampleRow} data-note>
                <span className="small ink-2">Nothing matches.</span>
                <span className="small ink-2">Choose other deliveries, or remove a filter of the list.</span>
              </div>
            )}
            {leftOut > 0 && (
              <div className={classes.sampleRow} data-note>
                <span className="small ink-2">
                  {countOf(leftOut, "endpoint is", "endpoints are")} left out: disabled or expired.
                </span>
              </div>
            )}
          </div>
        </>
      )}
    </section>
  );
}

function Number({ value, children }: { value: string | undefined; children: ReactNode }) {
  return (
    <span className={classes.number}>
      <strong>{value ?? "\u2007"}</strong>
      <span>{children}</span>
    </span>
  );
}
