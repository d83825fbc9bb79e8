/** Result of the dry run of a retry over a filter. */
import { nameOf, useEndpointsById } from "@/api/endpoints";
import type { RetryForecast } from "@/api/jobs";
import { DryRun, SAMPLE, SampleNote, SampleRow } from "@/components/dry-run/DryRun";
import type { DryRunState } from "@/components/dry-run/useDryRun";
import { deliveryState } from "@/components/status/states";
import { StatusBadge } from "@/components/status/StatusBadge";
import { RelativeTime } from "@/components/time/RelativeTime";
import { span } from "@/lib/words/durations";
import { shortId } from "@/lib/words/ids";
import { count, counted } from "@/lib/words/numbers";

export function Forecast({ state }: { state: DryRunState<RetryForecast> }) {
  const result = state.counted?.result;
  const sample = result?.sample.slice(0, SAMPLE) ?? [];
  const endpoints = useEndpointsById(
    sample.map((one) => ({ appId: one.application_id, id: one.endpoint_id })),
  );
  const more = (result?.count ?? 0) - sample.length;
  const orMore = result?.is_complete === false ? "+" : "";
  const leftOut = result?.endpoints_left_out ?? 0;
  return (
    <DryRun
      state={state}
      figures={[
        [result && `${count(result.count)}${orMore}`, "deliveries become pending"],
        [
          result && count(result.endpoint_count),
          result?.endpoint_count === 1 ? "endpoint gets them" : "endpoints get them",
        ],
        [
          result && span(result.duration_s),
          `to queue them${result ? ` at ${count(result.rate_limit)} a second each` : ""}`,
        ],
        [result && count(result.payload_expired), "left out, payload expired"],
      ]}
    >
      {sample.map((one) => {
        const endpoint = endpoints.get(one.endpoint_id);
        return (
          <SampleRow key={`${one.id} ${one.endpoint_id}`}>
            <StatusBadge state={deliveryState({ status: one.status ?? "exhausted", attempt_count: 0 })} />
            <span className="name cut">{one.event_type}</span>
            <span className="cut ink-2">{endpoint ? nameOf(endpoint) : shortId(one.endpoint_id)}</span>
            <span className="small ink-2 number">
              <RelativeTime value={one.created_at} />
            </span>
          </SampleRow>
        );
      })}
      {more > 0 && (
        <SampleNote>
          <span className="small ink-2">
            and {count(more)}
            {orMore} more.
          </span>
        </SampleNote>
      )}
      {result?.count === 0 && (
        <SampleNote>
          <span className="small ink-2">Nothing matches.</span>
          <span className="small ink-2">Choose other deliveries, or remove a filter of the list.</span>
        </SampleNote>
      )}
      {leftOut > 0 && (
        <SampleNote>
          <span className="small ink-2">
            {counted(leftOut, "endpoint is", "endpoints are")} left out: disabled or expired.
          </span>
        </SampleNote>
      )}
    </DryRun>
  );
}
