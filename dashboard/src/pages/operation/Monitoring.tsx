/** Monitoring: the node that answers in a few numbers, how Prometheus reads the rest, alerts, and the log. */
import { SegmentedControl } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { IconActivity } from "@tabler/icons-react";
import { useMemo, useState } from "react";
import { metricsTextQuery } from "@/api/operation";
import { CodeBlock } from "@/components/code/CodeBlock";
import { Skeletons } from "@/components/feedback/Skeletons";
import { Card, Figures } from "@/components/page/Card";
import { Page, Title } from "@/components/page/Page";
import classes from "../pages.module.css";
import { labelOf, parseMetrics } from "./metrics-text";
import { figuresOfNode, type Reading, uptimeOf } from "./node-figures";
import own from "./operation.module.css";
import { OperatorOnly } from "./OperatorOnly";
import { type Access, CREATE_KEY, LOG_SETTINGS, METRICS_LISTEN, scrapeConfig } from "./snippets";

const GUIDE = "/docs/guide/guides/monitoring";

export function Monitoring() {
  const metrics = useQuery(metricsTextQuery);
  return (
    <Page crumbs={[{ label: "Monitoring" }]}>
      <Title
        text="Monitoring"
        facts={
          <>
            <a href={GUIDE}>Guide to monitoring</a>
            <a href="/docs/guide/reference/metrics">All metrics</a>
            <a href="/docs/guide/runbooks/">Runbooks</a>
          </>
        }
      />
      {metrics.isPending && (
        <Card>
          <Skeletons rows={4} />
        </Card>
      )}
      {metrics.isError && (
        <Card>
          <OperatorOnly what="Metrics" icon={IconActivity} scope="operator:metrics" query={metrics} />
        </Card>
      )}
      {metrics.data && (
        <>
          <Node {...metrics.data} />
          <div className={classes["grid-half"]}>
            <Scraping />
            <div className="stack">
              <Alerts />
              <Logs />
            </div>
          </div>
        </>
      )}
    </Page>
  );
}

/** Figures of the node that answered, with rates since the reading before. */
function Node({ text, readAt }: { text: string; readAt: number }) {
  const reading = useMemo<Reading>(() => ({ samples: parseMetrics(text), readAt }), [text, readAt]);
  const [[current, before], setReadings] = useState<[Reading, Reading | null]>([reading, null]);
  // A new reading makes the one on the page the one before.
  if (reading !== current) setReadings([reading, current]);
  const earlier = reading === current ? before : current;
  const version = labelOf(reading.samples, "hookstream_build_info", "version");
  const database = labelOf(reading.samples, "hookstream_build_info", "database");
  const uptime = uptimeOf(reading);
  return (
    <Card
      title="This node now"
      aside={
        <span>
          {version} on {database === "postgresql" ? "PostgreSQL" : "SQLite"}
          {uptime && `, up ${uptime}`}
        </span>
      }
    >
      <div className={own.figures}>
        <Figures figures={figuresOfNode(reading, earlier)} />
      </div>
    </Card>
  );
}

function Scraping() {
  const [access, setAccess] = useState<Access>("key");
  return (
    <Card
      title="Prometheus"
      aside={
        <SegmentedControl
          aria-label="How Prometheus reads the metrics"
          value={access}
          onChange={(value) => setAccess(value as Access)}
          data={[
            { value: "key", label: "With an API key" },
            { value: "listener", label: "Own listener" },
          ]}
        />
      }
    >
      <div className={classes.step}>
        <span className={classes.stepNumber}>1</span>
        {access === "key" ? (
          <div className="stack-small">
            <p>
              Create a key with the scope <code>operator:metrics</code>, which no other scope includes. Save
              it where Prometheus reads it.
            </p>
            <div className={own.snippet}>
              <CodeBlock text={CREATE_KEY} isIndented={false} />
            </div>
          </div>
        ) : (
          <div className="stack-small">
            <p>
              Set <code>metrics_listen</code> and restart. This listener needs no key.
            </p>
            <div className={own.snippet}>
              <CodeBlock text={METRICS_LISTEN} isIndented={false} />
            </div>
          </div>
        )}
      </div>
      <div className={classes.step}>
        <span className={classes.stepNumber}>2</span>
        <div className="stack-small">
          <p>Scrape every node.</p>
          <div className={own.snippet}>
            <CodeBlock text={scrapeConfig(access, new URL(location.href))} isIndented={false} />
          </div>
        </div>
      </div>
      <div className={classes.step}>
        <span className={classes.stepNumber}>3</span>
        <div className="stack-small">
          <p>
            Add the alert rules and the Grafana dashboard of the folder <code>deploy/</code>.
          </p>
          <a href={GUIDE}>Steps in the guide</a>
        </div>
      </div>
    </Card>
  );
}

function Alerts() {
  return (
    <Card title="Alerts" aside={<a href="/docs/guide/runbooks/">Runbooks</a>} isPadded>
      <p>
        The rules alert on what is lost, late, failing or full, and every alert has a runbook on this server.
        Without Prometheus, <code>hookstream problems --json</code> lists what is wrong, for a cron job.
      </p>
    </Card>
  );
}

function Logs() {
  return (
    <Card title="Logs" aside={<a href="/docs/guide/reference/configuration#the-log">Fields and filters</a>}>
      <CodeBlock text={LOG_SETTINGS} isIndented={false} />
      <p className={`small ink-2 ${classes.inset ?? ""}`}>
        The log goes to standard error: one JSON object a line, one line for each attempt and each request.
        Payloads and secrets are never in it.
      </p>
    </Card>
  );
}
