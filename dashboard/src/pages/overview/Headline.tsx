/** Headline numbers against the time before, each with its chart: volume, success rate and latency. */
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { lazy, type ReactNode, Suspense } from "react";
import { deliveriesQuery, latencyQuery, type Overview } from "@/api/metrics";
import type { Problem } from "@/api/problems";
import { ChartCard, ChartShape } from "@/components/charts/ChartCard";
import { latencyRows, rateRows, volumeRows } from "@/components/charts/chart-data";
import type { Mark } from "@/components/charts/Charts";
import { latencyDelta, rateDelta, volumeDelta } from "@/components/charts/delta";
import { PlainTable } from "@/components/table/PlainTable";
import type { Range, Windows } from "@/lib/ranges";
import { duration } from "@/lib/words/durations";
import { count, percentOf, trimmed } from "@/lib/words/numbers";
import { calendar } from "@/lib/words/times";
import classes from "./Overview.module.css";

const charts = () => import("@/components/charts/Charts");
const VolumeChart = lazy(async () => ({ default: (await charts()).VolumeChart }));
const RateChart = lazy(async () => ({ default: (await charts()).RateChart }));
const LatencyChart = lazy(async () => ({ default: (await charts()).LatencyChart }));

interface Props {
  range: Range;
  windows: Windows;
  overview: Overview | undefined;
  problems: Problem[];
  isTable: boolean;
}

export function Headline({ range, windows, overview, problems, isTable }: Props) {
  const navigate = useNavigate();
  const now = useQuery(deliveriesQuery(windows.now));
  const before = useQuery(deliveriesQuery(windows.before));
  const latency = useQuery(latencyQuery(windows.now));
  const latencyBefore = useQuery(latencyQuery(windows.before));
  const end = Date.parse(windows.now.before);
  // Today's numbers end now, and yesterday's at the same minute: a half hour that has just begun is compared fairly.
  const isToday = range.name === "today";
  const [total, totalBefore] = isToday
    ? [overview?.today, overview?.yesterday]
    : [now.data?.total, before.data?.total];
  const [times, timesBefore] = isToday
    ? [overview?.today.latency, overview?.yesterday.latency]
    : [latency.data?.total, latencyBefore.data?.total];
  const pick = (since: number, until: number) =>
    void navigate({
      to: "/dashboard/messages",
      search: { since: new Date(since).toISOString(), until: new Date(until).toISOString() },
    });
  const link = (status?: string) => (
    <Link to="/dashboard/messages" search={{ since: windows.now.after, ...(status ? { status } : {}) }}>
      Explore
    </Link>
  );
  const volume = volumeRows(now.data?.series ?? [], before.data?.series ?? [], windows.joined, end);
  const rates = rateRows(now.data?.series ?? [], windows.joined, end);
  const latencies = latencyRows(latency.data?.series ?? [], end);
  const at = (row: { at: number }) => calendar(new Date(row.at), new Date());
  return (
    <div className={classes.charts}>
      <ChartCard
        title="Deliveries accepted"
        figure={total ? count(total.delivery_count) : "\u2007"}
        delta={
          total && totalBefore
            ? volumeDelta(
                total.delivery_count,
                totalBefore.delivery_count,
                `${count(totalBefore.delivery_count)} before`,
              )
            : null
        }
        link={link()}
        legend={[
          { kind: "bar", label: "Arrived" },
          { kind: "bad", label: "Not arrived" },
          { kind: "dotted", label: isToday ? "Yesterday" : "Time before" },
        ]}
        error={now.error}
        onRetry={() => void now.refetch()}
        table={
          isTable ? (
            <PlainTable
              label="Deliveries accepted"
              rows={volume}
              idOf={(row) => String(row.at)}
              columns={[
                { head: "From", cell: at },
                { head: "Arrived", cell: (row) => count(row.arrived), isNumber: true },
                { head: "Not arrived", cell: (row) => count(row.missing), isNumber: true },
                {
                  head: "Before",
                  cell: (row) => (row.before === null ? "" : count(row.before)),
                  isNumber: true,
                },
              ]}
            />
          ) : null
        }
      >
        <Drawn isReady={volume.length > 0}>
          <VolumeChart rows={volume} onPick={pick} />
        </Drawn>
      </ChartCard>
      <ChartCard
        title="Deliveries that arrived"
        figure={total ? rateText(total.success_count, total.delivery_count) : "\u2007"}
        delta={rateDelta(
          total?.success_rate ?? null,
          totalBefore?.success_rate ?? null,
          `${trimmed(totalBefore?.success_rate ?? 0, 2)} % before`,
        )}
        link={link("failed,pending")}
        legend={[{ kind: "line", label: "By the time of acceptance" }]}
        error={now.error}
        onRetry={() => void now.refetch()}
        table={
          isTable ? (
            <PlainTable
              label="Deliveries that arrived"
              rows={rates}
              idOf={(row) => String(row.at)}
              columns={[
                { head: "From", cell: at },
                { head: "Due", cell: (row) => count(row.due), isNumber: true },
                {
                  head: "Arrived",
                  cell: (row) => (row.rate === null ? "" : percentOf(row.rate)),
                  isNumber: true,
                },
              ]}
            />
          ) : null
        }
      >
        <Drawn isReady={rates.length > 0}>
          <RateChart rows={rates} marks={marksOf(problems, windows)} onPick={pick} />
        </Drawn>
      </ChartCard>
      <ChartCard
        title="Time of an attempt, p95"
        figure={times ? (typeof times.p95 === "number" ? duration(times.p95) : "none") : "\u2007"}
        delta={latencyDelta(
          times?.p95 ?? null,
          timesBefore?.p95 ?? null,
          `${duration(timesBefore?.p95 ?? 0)} before`,
        )}
        link={link()}
        legend={[
          { kind: "dashed", label: <>p50 {timeText(times?.p50)}</> },
          { kind: "line", label: "p95" },
          { kind: "quiet", label: <>p99 {timeText(times?.p99)}</> },
        ]}
        error={latency.error}
        onRetry={() => void latency.refetch()}
        table={
          isTable ? (
            <PlainTable
              label="Time of an attempt"
              rows={latencies}
              idOf={(row) => String(row.at)}
              columns={[
                { head: "From", cell: at },
                { head: "p50", cell: (row) => timeText(row.p50), isNumber: true },
                { head: "p95", cell: (row) => timeText(row.p95), isNumber: true },
                { head: "p99", cell: (row) => timeText(row.p99), isNumber: true },
              ]}
            />
          ) : null
        }
      >
        <Drawn isReady={latencies.length > 0}>
          <LatencyChart rows={latencies} onPick={pick} />
        </Drawn>
      </ChartCard>
    </div>
  );
}

/** Chart once its code and its rows are there; the card has its final size before. */
function Drawn({ isReady, children }: { isReady: boolean; children: ReactNode }) {
  return isReady ? <Suspense fallback={<ChartShape />}>{children}</Suspense> : <ChartShape />;
}

function rateText(arrived: number, due: number): string {
  return due === 0 ? "none due" : percentOf((arrived / due) * 100, arrived === due);
}

function timeText(ms: number | null | undefined): string {
  return typeof ms === "number" ? duration(ms) : "";
}

/** Moments at which the worst endpoints began to fail, as far as they are in the window: two at most. */
function marksOf(problems: Problem[], { now: { after, granularity } }: Windows): Mark[] {
  const step = { minute: 60_000, half_hour: 1_800_000, hour: 4 * 3_600_000, day: 86_400_000 }[granularity];
  const start = Date.parse(after);
  return problems
    .flatMap((problem): Mark[] => {
      const since = problem.since ? Date.parse(problem.since) : Number.NaN;
      if (!(since >= start) || problem.severity !== "critical") return [];
      const at = start + Math.floor((since - start) / step) * step;
      const name = problem.subject.application_name ?? "";
      return [{ at, label: `${calendar(new Date(since), new Date())} ${name.split(" ")[0] ?? ""}` }];
    })
    .filter((mark, index, all) => all.findIndex((other) => other.at === mark.at) === index)
    .slice(0, 2);
}
