/** Busiest endpoints of the last day, for a day on which nothing is wrong. */
import { Link } from "@tanstack/react-router";
import { type ListedEndpoint, nameOf } from "@/api/endpoints";
import { bucketsOf } from "@/components/data/health";
import { HealthStrip } from "@/components/data/HealthStrip";
import { messagesHref } from "@/components/data/links";
import { Card } from "@/components/page/Card";
import { endpointState } from "@/components/status/states";
import { StatusBadge } from "@/components/status/StatusBadge";
import { duration } from "@/lib/words/durations";
import { percentOf } from "@/lib/words/numbers";
import { trafficOf } from "../endpoints/rows";
import classes from "./Overview.module.css";

const SHOWN = 5;

export function Busiest({ endpoints }: { endpoints: ListedEndpoint[] }) {
  const rows = [...endpoints]
    .filter((one) => trafficOf(one) > 0)
    .sort((one, other) => trafficOf(other) - trafficOf(one))
    .slice(0, SHOWN);
  if (rows.length === 0) return null;
  return (
    <Card
      title={
        <>
          Busiest endpoints <span className="small ink-3 regular">last 24 hours</span>
        </>
      }
      aside={<Link to="/dashboard/endpoints">All endpoints</Link>}
    >
      {rows.map((one) => (
        <div key={one.id} className={classes.busy}>
          <span className="cut">
            <Link
              to="/dashboard/endpoints/$appId/$id"
              params={{ appId: one.application_id, id: one.id }}
              className="link-plain name"
            >
              {nameOf(one)}
            </Link>{" "}
            <span className="ink-3">{one.application_name}</span>
          </span>
          <HealthStrip
            buckets={bucketsOf(one.health)}
            hrefOf={(bucket) => messagesHref({ endpoint_id: one.id }, bucket)}
          />
          <span className={`number ${classes.busyNumber ?? ""}`}>
            {Math.round(trafficOf(one) / 24)} an hour
          </span>
          <span className={`number ${classes.busyNumber ?? ""}`}>
            {typeof one.health.success_rate === "number" ? percentOf(one.health.success_rate) : ""}
          </span>
          <span className={`number ${classes.busyNumber ?? ""}`}>
            {typeof one.health.p95_ms === "number" ? duration(one.health.p95_ms) : ""}
          </span>
          <span className={classes.busyNumber}>
            <StatusBadge state={endpointState(one)} />
          </span>
        </div>
      ))}
    </Card>
  );
}
