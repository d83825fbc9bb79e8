/** Charts of the Overview. This file is loaded on demand, because the drawing library is large. */
import type { ReactNode } from "react";
import {
  Bar,
  CartesianGrid,
  ComposedChart,
  Line,
  LineChart,
  ReferenceLine,
  ResponsiveContainer,
  Tooltip,
  XAxis,
  YAxis,
} from "recharts";
import { duration } from "@/lib/words/durations";
import { compact, count, trimmed } from "@/lib/words/numbers";
import { calendar, stepLabel } from "@/lib/words/times";
import {
  type LatencyRow,
  latencyTop,
  type RateRow,
  ticksDownTo,
  ticksUpTo,
  timeTicks,
  type VolumeRow,
} from "./chart-data";
import classes from "./Charts.module.css";

/** Moment of a failure, marked in the chart. */
export interface Mark {
  at: number;
  label: string;
}

/** Called with the step that was clicked. */
export type OnPick = (since: number, until: number) => void;

const MARGIN = { top: 6, right: 4, bottom: 0, left: 0 };
const LABEL = { fill: "var(--ink-3)", fontSize: 11 };

interface Step {
  at: number;
  until: number;
}

function axes(rows: Step[], ticks: number[], format: (value: number) => string, scale: "band" | "point") {
  const first = rows[0]?.at ?? 0;
  const span = (rows[rows.length - 1]?.at ?? 0) - first;
  return (
    <>
      <CartesianGrid vertical={false} stroke="var(--line)" />
      <XAxis
        dataKey="at"
        scale={scale}
        ticks={timeTicks(rows)}
        interval={0}
        tickFormatter={(at: number) => stepLabel(new Date(at), span)}
        tick={LABEL}
        tickLine={false}
        axisLine={{ stroke: "var(--line-strong)" }}
        height={20}
      />
      <YAxis
        ticks={ticks}
        domain={[ticks[0] ?? 0, ticks[ticks.length - 1] ?? 1]}
        allowDataOverflow
        interval={0}
        tickFormatter={format}
        tick={LABEL}
        tickLine={false}
        axisLine={false}
        width={52}
      />
    </>
  );
}

function Hint({ step, children }: { step: Step; children: ReactNode }) {
  const now = new Date();
  return (
    <div className={classes.hint}>
      <div>
        {calendar(new Date(step.at), now)} to {calendar(new Date(step.until), now)}
      </div>
      {children}
    </div>
  );
}

/** Content of a tooltip, typed by the rows of its chart. */
function hint<Row extends Step>(words: (row: Row) => ReactNode) {
  return function Content({
    active,
    payload,
  }: {
    active?: boolean;
    payload?: readonly { payload?: unknown }[];
  }) {
    const row = payload?.[0]?.payload as Row | undefined;
    return active && row ? <Hint step={row}>{words(row)}</Hint> : null;
  };
}

const volumeHint = hint<VolumeRow>((row) => (
  <>
    <div>{count(row.arrived + row.missing)} fell due</div>
    <div>{count(row.arrived)} arrived</div>
    {row.missing > 0 && <div>{count(row.missing)} not arrived</div>}
    {row.before !== null && <div>{count(row.before)} the time before</div>}
  </>
));

const rateHint = hint<RateRow>((row) =>
  row.rate === null ? (
    <div>Nothing fell due</div>
  ) : (
    <div>{`${trimmed(row.rate, 2)} % of ${count(row.due)} arrived`}</div>
  ),
);

const latencyHint = hint<LatencyRow>((row) =>
  row.p95 === null ? (
    <div>No attempt</div>
  ) : (
    <>
      <div>p50 {duration(row.p50 ?? 0)}</div>
      <div>p95 {duration(row.p95)}</div>
      <div>p99 {duration(row.p99 ?? 0)}</div>
    </>
  ),
);

/** Returns what a click on a chart does: it picks the step under the pointer. */
function picking(rows: Step[], onPick: OnPick) {
  return (state: { activeTooltipIndex?: unknown }) => {
    const row = rows[Number(state.activeTooltipIndex)];
    if (row) onPick(row.at, row.until);
  };
}

interface Props<Row> {
  rows: Row[];
  onPick: OnPick;
}

export function VolumeChart({ rows, onPick }: Props<VolumeRow>) {
  const most = Math.max(0, ...rows.map((row) => Math.max(row.arrived + row.missing, row.before ?? 0)));
  return (
    <ResponsiveContainer width="100%" height="100%">
      <ComposedChart
        data={rows}
        margin={MARGIN}
        barCategoryGap={1}
        accessibilityLayer={false}
        onClick={picking(rows, onPick)}
      >
        {axes(rows, ticksUpTo(most), compact, "band")}
        <Tooltip content={volumeHint} cursor={{ fill: "var(--bg-hover)" }} isAnimationActive={false} />
        <Bar dataKey="arrived" stackId="all" fill="var(--c2)" isAnimationActive={false} />
        <Bar dataKey="missing" stackId="all" fill="var(--bad-solid)" isAnimationActive={false} />
        <Line
          dataKey="before"
          stroke="var(--c1)"
          strokeWidth={1.5}
          strokeDasharray="2 2"
          dot={false}
          isAnimationActive={false}
        />
      </ComposedChart>
    </ResponsiveContainer>
  );
}

function isInFirstHalf(rows: Step[], at: number): boolean {
  return rows.findIndex((row) => row.at === at) < rows.length / 2;
}

interface MarkLabelProps {
  text: string;
  place: { x?: number; y?: number; height?: number };
  /** Line from the bottom, so that labels of near moments do not cover each other. */
  line: number;
  isLeft: boolean;
}

function MarkLabel({ text, place: { x = 0, y = 0, height = 0 }, line, isLeft }: MarkLabelProps) {
  return (
    <text
      x={isLeft ? x - 5 : x + 5}
      y={y + height - 8 - line * 15}
      textAnchor={isLeft ? "end" : "start"}
      fill="var(--bad-text)"
      fontSize={11}
      paintOrder="stroke"
      stroke="var(--bg-page)"
      strokeWidth={3}
    >
      {text}
    </text>
  );
}

export function RateChart({ rows, marks, onPick }: Props<RateRow> & { marks: Mark[] }) {
  const least = Math.min(100, ...rows.flatMap((row) => (row.rate === null ? [] : [row.rate])));
  return (
    <ResponsiveContainer width="100%" height="100%">
      <LineChart data={rows} margin={MARGIN} accessibilityLayer={false} onClick={picking(rows, onPick)}>
        {axes(rows, ticksDownTo(least), (value) => `${trimmed(value, 2)}\u202f%`, "point")}
        {marks.map((mark, index) => (
          <ReferenceLine
            key={mark.label}
            x={mark.at}
            stroke="var(--bad-solid)"
            strokeDasharray="2 2"
            label={(props: { viewBox?: { x?: number; y?: number; height?: number } }) => (
              <MarkLabel
                text={mark.label}
                place={props.viewBox ?? {}}
                line={index}
                isLeft={!isInFirstHalf(rows, mark.at)}
              />
            )}
          />
        ))}
        <Tooltip content={rateHint} cursor={{ stroke: "var(--line-strong)" }} isAnimationActive={false} />
        <Line
          dataKey="rate"
          stroke="var(--c1)"
          strokeWidth={1.5}
          dot={false}
          connectNulls
          isAnimationActive={false}
        />
      </LineChart>
    </ResponsiveContainer>
  );
}

export function LatencyChart({ rows, onPick }: Props<LatencyRow>) {
  const most = latencyTop(rows);
  const line = { dot: false, connectNulls: true, isAnimationActive: false, strokeWidth: 1.5 };
  return (
    <ResponsiveContainer width="100%" height="100%">
      <LineChart data={rows} margin={MARGIN} accessibilityLayer={false} onClick={picking(rows, onPick)}>
        {axes(rows, ticksUpTo(most), duration, "point")}
        <Tooltip content={latencyHint} cursor={{ stroke: "var(--line-strong)" }} isAnimationActive={false} />
        <Line {...line} dataKey="p50" stroke="var(--c2)" strokeDasharray="4 2" />
        <Line {...line} dataKey="p99" stroke="var(--c2)" />
        <Line {...line} dataKey="p95" stroke="var(--c1)" />
      </LineChart>
    </ResponsiveContainer>
  );
}
