/** Overview: what is wrong, for whom, since when, what to do; then the sum of deliveries and what changed. */
import { Button } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { IconCircleCheckFilled, IconRotateClockwise } from "@tabler/icons-react";
import { latestChangesQuery } from "@/api/audit";
import { queryClient } from "@/api/client";
import { nameOf, resetCircuit, useEndpointsById } from "@/api/endpoints";
import { useApplicationNames } from "@/api/applications";
import { lanesQuery, quotasQuery, type Usage, usageQuery } from "@/api/engine";
import { useLive } from "@/api/live";
import { failedAttemptsQuery } from "@/api/messages";
import { useMay, useSession } from "@/api/session";
import { ErrorState } from "@/components/feedback/ErrorState";
import { Skeletons } from "@/components/feedback/Skeletons";
import { toast } from "@/components/feedback/toast";
import { Card } from "@/components/page/Card";
import { LiveState } from "@/components/page/LiveState";
import { Page, Title } from "@/components/page/Page";
import { circuitState } from "@/components/status/states";
import { StatusBadge } from "@/components/status/StatusBadge";
import { Countdown } from "@/components/time/Countdown";
import { RelativeTime } from "@/components/time/RelativeTime";
import { splitError } from "@/lib/words/errors";
import { shortUrl } from "@/lib/words/ids";
import { count, counted } from "@/lib/words/numbers";
import classes from "../pages.module.css";
import { describeEntry } from "../settings/audit-words";
import { type Need, needsOf } from "./needs";

const SHOWN = 6;

export function Overview() {
  const lanes = useQuery(lanesQuery);
  const usage = useQuery(usageQuery);
  const { data: quotas } = useQuery(quotasQuery);
  useLive("lanes", () => void Promise.all([lanes.refetch(), usage.refetch()]));
  const needs = needsOf(lanes.data?.lanes ?? []);
  const title =
    needs.length > 0
      ? `${counted(needs.length, "endpoint")} ${needs.length === 1 ? "needs" : "need"} you`
      : "Every endpoint delivers";
  return (
    <Page crumbs={[{ label: "Overview" }]} actions={<LiveState />}>
      {lanes.data && (
        <Title
          text={title}
          aside={needs.length === 0 ? "No circuit is open, and no queue is slow." : undefined}
        />
      )}
      {quotas?.events.used === 0 && <FirstRunCard />}
      {lanes.isError && (
        <Card>
          <ErrorState what="Delivery queues" error={lanes.error} onRetry={() => void lanes.refetch()} />
        </Card>
      )}
      {lanes.isPending && <Skeletons rows={4} height={54} />}
      {needs.length > 0 && <Needs needs={needs} />}
      <div className={classes["grid-half"]}>
        <Card title="Every delivery accounted for" aside={usage.data && <Unaccounted usage={usage.data} />}>
          {usage.isError ? (
            <ErrorState what="Usage" error={usage.error} onRetry={() => void usage.refetch()} />
          ) : usage.data ? (
            <Sum usage={usage.data} />
          ) : (
            <Skeletons rows={5} height={28} />
          )}
        </Card>
        <FailureReasons />
        <Changes />
      </div>
    </Page>
  );
}

function FirstRunCard() {
  return (
    <Card isPadded title="See a webhook arrive">
      <div className={classes.between}>
        <p>Four steps, about a minute: an application, an endpoint, a message, and its arrival.</p>
        <Button component={Link} to="/dashboard/get-started" variant="filled">
          Get started
        </Button>
      </div>
    </Card>
  );
}

function Needs({ needs }: { needs: Need[] }) {
  const shown = needs.slice(0, SHOWN);
  const paths = shown.map(({ lane }) => ({ appId: lane.application_id, id: lane.endpoint_id }));
  const endpoints = useEndpointsById(paths);
  const names = useApplicationNames(paths.map((path) => path.appId));
  const mayWrite = useMay("endpoints:write");
  const probing = useMutation({
    mutationFn: (need: Need) => resetCircuit({ appId: need.lane.application_id, id: need.lane.endpoint_id }),
    onSuccess: async () => {
      toast("The circuit is closed. Deliveries go one at a time at first.");
      await queryClient.invalidateQueries({ queryKey: lanesQuery.queryKey });
    },
  });
  return (
    <Card title="What is wrong now" aside="Most affected first">
      {shown.map((need, index) => {
        const { lane } = need;
        const endpoint = endpoints.get(lane.endpoint_id);
        const to = `/dashboard/endpoints/${lane.application_id}/${lane.endpoint_id}`;
        const state =
          need.kind === "slow"
            ? { word: "Slow", tone: "careful" as const, icon: IconRotateClockwise }
            : circuitState(lane.circuit_state);
        return (
          <div key={lane.endpoint_id} className={classes.need}>
            <span>
              <StatusBadge state={state} isTinted />
            </span>
            <div className="cut">
              <div className="row">
                <Link to={to} className="link-plain name">
                  {names.get(lane.application_id) ?? ""}
                </Link>
                <code className="ink-2 cut">{endpoint ? shortUrl(endpoint.url) : ""}</code>
              </div>
              <div className="small ink-2 cut">{need.cause}</div>
            </div>
            <span className="small ink-2">
              {lane.held_until ? (
                <>
                  next probe <Countdown to={lane.held_until} />
                </>
              ) : lane.oldest_due_at ? (
                <>
                  oldest due <RelativeTime value={lane.oldest_due_at} />
                </>
              ) : null}
            </span>
            <span className="number name">{count(need.waiting)} waiting</span>
            {need.kind === "open" && mayWrite ? (
              <Button
                {...(index === 0 ? { variant: "filled" } : {})}
                loading={probing.isPending && probing.variables === need}
                onClick={() => probing.mutate(need)}
                title={endpoint ? `Probe ${nameOf(endpoint)}` : "Probe now"}
              >
                Probe now
              </Button>
            ) : (
              <Button component={Link} to={need.kind === "slow" && mayWrite ? `${to}?edit=1` : to}>
                {need.kind === "slow" && mayWrite ? "Raise limit…" : "Explain"}
              </Button>
            )}
          </div>
        );
      })}
      {needs.length > SHOWN && (
        <div className={classes.sum}>
          <Link to="/dashboard/queues">{needs.length - SHOWN} more</Link>
        </div>
      )}
    </Card>
  );
}

function unaccounted(usage: Usage): number {
  return usage.accepted - usage.succeeded - usage.pending - usage.exhausted - usage.skipped - usage.cancelled;
}

function Unaccounted({ usage }: { usage: Usage }) {
  const rest = unaccounted(usage);
  return rest === 0 ? (
    <StatusBadge state={{ word: "0 unaccounted", tone: "good", icon: IconCircleCheckFilled }} />
  ) : (
    <span>{count(rest)} being counted</span>
  );
}

function Sum({ usage }: { usage: Usage }) {
  const lines: [string, number, string, string?][] = [
    [
      "Deliveries accepted",
      usage.accepted,
      "",
      `${counted(usage.messages, "message")} in the time that is kept`,
    ],
    ["Succeeded", usage.succeeded, "delivered"],
    ["Pending", usage.pending, "pending"],
    ["Exhausted", usage.exhausted, "failed", "can be recovered"],
    ["Skipped", usage.skipped, "skipped", "with a reason"],
    ["Cancelled", usage.cancelled, "", "with a reason"],
  ];
  return (
    <div className={classes.list}>
      {lines.map(([label, value, status, note]) => (
        <div key={label} className={classes.sum}>
          <span>
            {status === "" ? (
              label
            ) : (
              <Link to="/dashboard/messages" search={{ status }} className="link-plain">
                {label}
              </Link>
            )}{" "}
            {note !== undefined && <span className="small ink-3">{note}</span>}
          </span>
          <span className="number">{count(value)}</span>
        </div>
      ))}
    </div>
  );
}

/** Words of the latest failed attempts. The server's own breakdown replaces this once it exists. */
function FailureReasons() {
  const failed = useQuery(failedAttemptsQuery);
  const words = new Map<string, number>();
  for (const attempt of failed.data ?? []) {
    const { word } = splitError(attempt.error ?? "");
    const label =
      word === "http_status" && attempt.response_status
        ? `http_status ${attempt.response_status}`
        : word || "unknown";
    words.set(label, (words.get(label) ?? 0) + 1);
  }
  const rows = [...words].sort((one, two) => two[1] - one[1]).slice(0, 6);
  const most = rows[0]?.[1] ?? 1;
  return (
    <Card
      title="Why attempts failed"
      aside={failed.data ? `last ${counted(failed.data.length, "failed attempt")}` : undefined}
    >
      {failed.isError && (
        <ErrorState what="Attempts" error={failed.error} onRetry={() => void failed.refetch()} />
      )}
      {failed.isPending && <Skeletons rows={5} height={28} />}
      {failed.data?.length === 0 && <p className={classes.sum}>No attempt has failed.</p>}
      <div className={classes.list}>
        {rows.map(([word, number]) => (
          <div key={word} className={classes.reason}>
            <code className={`cut ${classes.reasonWord ?? ""}`}>{word}</code>
            <span className={`${classes.bar ?? ""} grow`}>
              <span style={{ width: `${(number / most) * 100}%` }} />
            </span>
            <span className={`number ${classes.reasonCount ?? ""}`}>{count(number)}</span>
          </div>
        ))}
      </div>
    </Card>
  );
}

function Changes() {
  const session = useSession();
  const mayRead = useMay("audit:read");
  const changes = useQuery({
    ...latestChangesQuery(session.env_id ?? ""),
    enabled: mayRead && Boolean(session.env_id),
  });
  if (!mayRead) return null;
  return (
    <Card
      title="What changed"
      aside={
        <Link to="/dashboard/settings/$section" params={{ section: "audit-log" }}>
          Audit log
        </Link>
      }
    >
      {changes.isError && (
        <ErrorState what="The audit log" error={changes.error} onRetry={() => void changes.refetch()} />
      )}
      <div className={classes.changes}>
        {changes.data?.map((entry) => (
          <div key={entry.id} className="row">
            <span className="small ink-3">
              <RelativeTime value={entry.created_at} />
            </span>
            <span className="cut">{describeEntry(entry)}</span>
          </div>
        ))}
      </div>
    </Card>
  );
}
