/** Overview: what is wrong, for whom, since when, what to do; then charts, the sum of deliveries and what changed. */
import { Button, SegmentedControl } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { IconCircleCheckFilled } from "@tabler/icons-react";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { allEndpointsQuery } from "@/api/endpoints";
import { lanesQuery } from "@/api/engine";
import { useLive } from "@/api/live";
import { overviewQuery } from "@/api/metrics";
import { problemsQuery } from "@/api/problems";
import { useMay } from "@/api/session";
import { queryClient } from "@/api/client";
import { ErrorState } from "@/components/feedback/ErrorState";
import { Skeletons } from "@/components/feedback/Skeletons";
import { Card } from "@/components/page/Card";
import { LiveState } from "@/components/page/LiveState";
import { Page, Title } from "@/components/page/Page";
import { isMissed } from "@/components/status/problem-words";
import { useNow } from "@/components/time/ticker";
import { CHART_RANGES, rangeOf, type RangeName, windowsOf } from "@/lib/ranges";
import { useKeys } from "@/shell/keys";
import { Busiest } from "./Busiest";
import { Changes } from "./Changes";
import { Conservation } from "./Conservation";
import { FailureReasons } from "./FailureReasons";
import { Headline } from "./Headline";
import { Problems } from "./Problems";
import { titleOf } from "./title";
import classes from "./Overview.module.css";

/** Endpoints up to which their names are read for the changes of the audit log. */
const NAMED = 500;

export function Overview() {
  const search = useSearch({ from: "/dashboard/" });
  const navigate = useNavigate();
  const range = rangeOf(search.range);
  const isTable = search.view === "table";
  const windows = windowsOf(range.name, useNow(0));
  const problems = useQuery(problemsQuery);
  const overview = useQuery(overviewQuery);
  const lanes = useQuery(lanesQuery);
  const isCalm = problems.data?.problems.length === 0;
  const number = problems.data?.endpoints ?? 0;
  const { data: all } = useQuery({
    ...allEndpointsQuery,
    enabled: isCalm || (number > 0 && number <= NAMED),
  });
  useLive("lanes", () =>
    Promise.all(
      ["problems", "metrics", "engine"].map((name) => queryClient.invalidateQueries({ queryKey: [name] })),
    ),
  );
  const go = (next: { range?: RangeName; view?: string }) =>
    void navigate({ to: "/dashboard", search: { ...search, ...next }, replace: true });
  useKeys([
    { keys: "t", label: "Charts as tables", run: () => go(isTable ? { view: "" } : { view: "table" }) },
  ]);
  const waiting = (problems.data?.problems ?? [])
    .filter((one) => !isMissed(one))
    .reduce((sum, one) => sum + one.waiting, 0);
  const words = problems.data && titleOf(problems.data, oldestOf(lanes.data?.lanes ?? []));
  return (
    <Page
      crumbs={[{ label: "Overview" }]}
      actions={
        <>
          <LiveState />
          <SegmentedControl
            aria-label="Range of the charts"
            value={range.name}
            onChange={(name) => go({ range: name as RangeName })}
            data={CHART_RANGES.map(({ name, label }) => ({ value: name, label }))}
          />
        </>
      }
    >
      {words ? (
        <div className="row-wrap">
          <Title text={words.title} aside={words.aside} />
          <span className={`small ink-2 ${classes.compared ?? ""}`}>{range.compared}</span>
        </div>
      ) : (
        <Title text="Overview" />
      )}
      {overview.data?.conservation.accepted === 0 && <FirstRunCard />}
      {problems.isError && (
        <Card>
          <ErrorState what="Problems" error={problems.error} onRetry={() => void problems.refetch()} />
        </Card>
      )}
      {problems.isPending && (
        <Card>
          <Skeletons rows={4} height={54} />
        </Card>
      )}
      {problems.data && problems.data.problems.length > 0 && (
        <Problems problems={problems.data.problems} isPartial={problems.data.is_partial} />
      )}
      {isCalm && problems.data && problems.data.endpoints > 0 && (
        <Card>
          <p className={classes.calm}>
            <IconCircleCheckFilled size={16} />
            <span className="name">Nothing is wrong now</span>
            <span className="ink-2">No circuit is open, no backlog grows, nothing was missed.</span>
          </p>
        </Card>
      )}
      <Headline
        range={range}
        windows={windows}
        overview={overview.data}
        problems={problems.data?.problems ?? []}
        isTable={isTable}
      />
      <div className={classes.sums}>
        {overview.isError ? (
          <Card title="Every delivery accounted for">
            <ErrorState what="The sum" error={overview.error} onRetry={() => void overview.refetch()} />
          </Card>
        ) : (
          <Conservation sum={overview.data?.conservation} waiting={waiting} />
        )}
        <FailureReasons range={range} windows={windows} />
        <Changes />
      </div>
      {isCalm && all && <Busiest endpoints={all.endpoints} />}
    </Page>
  );
}

/** Returns for how many seconds the oldest delivery in memory has been due; null if none waits. */
function oldestOf(lanes: { oldest_due_at?: string | null }[]): number | null {
  const times = lanes.flatMap((lane) => (lane.oldest_due_at ? [Date.parse(lane.oldest_due_at)] : []));
  return times.length === 0 ? null : (Date.now() - Math.min(...times)) / 1000;
}

function FirstRunCard() {
  const mayStart = useMay("applications:write");
  if (!mayStart) return null;
  return (
    <Card isPadded title="See a webhook arrive">
      <div className="row-wrap between-ends">
        <p>Four steps, about a minute: an application, an endpoint, a message, and its arrival.</p>
        <Button variant="filled" renderRoot={(props) => <Link {...props} to="/dashboard/get-started" />}>
          Get started
        </Button>
      </div>
    </Card>
  );
}
