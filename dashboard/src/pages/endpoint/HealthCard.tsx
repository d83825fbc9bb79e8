/** Health of an endpoint: the last day as a strip, and six figures. The card has its final size while it loads. */
import type { UseQueryResult } from "@tanstack/react-query";
import type { Endpoint, EndpointHealth } from "@/api/endpoints";
import { bucketsOfHalfHours, type HealthBucket } from "@/components/data/health";
import { HealthStrip } from "@/components/data/HealthStrip";
import { ErrorState } from "@/components/feedback/ErrorState";
import { Card, Figures } from "@/components/page/Card";
import { calendar } from "@/lib/words/times";
import { figuresOf } from "./figures";
import classes from "./Endpoint.module.css";

interface Props {
  endpoint: Endpoint;
  health: UseQueryResult<EndpointHealth>;
  /** Address of the messages of a bar. */
  hrefOf?: (bucket: HealthBucket) => string;
}

export function HealthCard({ endpoint, health, hrefOf }: Props) {
  if (health.isError) {
    return (
      <Card title="Last 24 hours">
        <ErrorState what="Health" error={health.error} onRetry={() => void health.refetch()} />
      </Card>
    );
  }
  const data = health.data;
  return (
    <Card>
      <div className={classes.stripHead}>
        <h2>Last 24 hours</h2>
        <span className={classes.legend}>
          <span>
            <i className={classes.swatch} /> Arrived
          </span>
          <span>
            <i className={classes.swatch} data-kind="bad" /> Not arrived
          </span>
          <span className={classes.legendMore}>One bar is 30 minutes, its height what was due then</span>
        </span>
      </div>
      <div className={classes.strip}>
        {data && (
          <HealthStrip
            buckets={bucketsOfHalfHours(data.half_hours)}
            height={56}
            {...(hrefOf ? { hrefOf } : {})}
          />
        )}
      </div>
      <div className={classes.times} aria-hidden>
        {data && labelsOf(data.half_hours).map((label, index) => <span key={index}>{label}</span>)}
      </div>
      <div className={classes.figures}>
        <Figures figures={data ? figuresOf(data, endpoint) : LOADING} />
      </div>
    </Card>
  );
}

const LOADING = ["Success rate", "Latency p95", "Circuit", "Backlog", "Drains in", "Next attempt"].map(
  (label) => ({
    label,
    value: "\u2007",
    note: "\u2007",
  }),
);

/** Returns the times under the strip: its start, three hours apart, and now. */
function labelsOf(halfHours: { bucket: string }[]): string[] {
  const now = new Date();
  const every = 6;
  return halfHours
    .filter((_, index) => index % every === 0)
    .map((one, index) => {
      const text = calendar(new Date(one.bucket), now);
      // The day stands once, at the start.
      return index === 0 ? text : text.replace(/^.*, /, "");
    })
    .concat("Now");
}
