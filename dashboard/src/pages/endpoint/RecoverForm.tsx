/** Form of recover and replay with its dry run. Nothing starts without a count for exactly this form. */
import { Checkbox, NumberInput, Select, TagsInput, TextInput } from "@mantine/core";
import { useMutation, useQueries, useQuery } from "@tanstack/react-query";
import { IconInfoCircle } from "@tabler/icons-react";
import { useState } from "react";
import { queryClient } from "@/api/client";
import type { Endpoint, EndpointHealth, OwnedPath } from "@/api/endpoints";
import { eventTypesQuery } from "@/api/event-types";
import { dryRun, type Job, type JobRequest, startJob } from "@/api/jobs";
import classes from "@/components/dry-run/DryRun.module.css";
import { DryRunForm } from "@/components/dry-run/DryRunForm";
import { useDryRun } from "@/components/dry-run/useDryRun";
import { count, counted } from "@/lib/words/numbers";
import { timeOfDay } from "@/lib/words/times";
import { DryRunResult } from "./DryRunResult";
import { commandOf, CUSTOM, startsOf, timeOfChoice } from "./recover";

interface Props {
  kind: "recover" | "replay";
  path: OwnedPath;
  endpoint: Endpoint;
  health: EndpointHealth | undefined;
  onCancel: () => void;
  onStarted: (job: Job) => void;
}

const STATUSES = {
  recover: [
    { value: "skipped", label: "Skipped while disabled" },
    { value: "exhausted", label: "Exhausted" },
  ],
  replay: [
    { value: "delivered", label: "Delivered" },
    { value: "exhausted", label: "Exhausted" },
    { value: "skipped", label: "Skipped" },
  ],
};

const ENDS = [
  { value: "now", label: "now" },
  { value: "15m", label: "15 min ago" },
  { value: "1h", label: "an hour ago" },
  { value: "24h", label: "a day ago" },
  { value: CUSTOM, label: "a time of your own" },
];

export function RecoverForm({ kind, path, endpoint, health, onCancel, onStarted }: Props) {
  const [now] = useState(() => new Date());
  const starts = startsOf(endpoint, health, now);
  const [start, setStart] = useState(() => endpoint.disabled_at ?? "24h");
  const [ownStart, setOwnStart] = useState("");
  const [end, setEnd] = useState("now");
  const [ownEnd, setOwnEnd] = useState("");
  const [rate, setRate] = useState<number | string>(endpoint.rate_limit_per_second || 100);
  const [statuses, setStatuses] = useState(STATUSES[kind].map((status) => status.value));
  const [types, setTypes] = useState<string[]>([]);
  const { data: eventTypes = [] } = useQuery({ ...eventTypesQuery, enabled: kind === "replay" });

  const since = timeOfChoice(start, ownStart, now);
  const until = end === "now" ? undefined : timeOfChoice(end, ownEnd, now);
  const bodyOf = (wanted: string[]) => ({
    since: since ?? "",
    ...(until ? { until } : {}),
    rate_limit: Math.min(1000, Math.max(1, Number(rate) || 100)),
    statuses: wanted,
    ...(kind === "replay" && types.length > 0 ? { event_types: types } : {}),
  });
  const request: JobRequest = { kind, body: bodyOf(statuses) };
  // Jobs are refused while the endpoint takes nothing; a paused one keeps what waits.
  const isRefused = endpoint.status === "disabled" || endpoint.status === "expired";
  const isComplete = !isRefused && since !== null && until !== null && statuses.length > 0;
  const counting = useDryRun({ name: [path], request, isComplete, ask: (asked) => dryRun(path, asked) });
  const perStatus = useStatusCounts(path, kind, counting.isSettled, bodyOf);
  const starting = useMutation({
    mutationFn: () => startJob(path, request),
    onSuccess: async (job) => {
      await queryClient.invalidateQueries({ queryKey: ["jobs"] });
      onStarted(job);
    },
  });
  const verb = kind === "recover" ? "Recover" : "Replay";
  const result = counting.counted?.result;
  const canBegin = counting.isFresh && result !== undefined && result.count > 0;
  return (
    <DryRunForm
      command={commandOf(request, endpoint.id, path.appId)}
      mayCopy
      verb={counting.isFresh && result ? `${verb} ${counted(result.count, "delivery", "deliveries")}` : verb}
      canBegin={canBegin}
      isStarting={starting.isPending}
      error={starting.error}
      onBegin={() => starting.mutate()}
      onCancel={onCancel}
    >
      <div className={classes.part}>
        <p className="ink-2">
          {kind === "recover"
            ? "Sends again what this endpoint missed, oldest first, with the same webhook-id. What still waits is left alone."
            : "Sends messages of a time again, also those that arrived. The receiver sees the same webhook-id."}
        </p>
        <div className={classes.fields}>
          <div className="stack-small">
            <Select
              label={kind === "recover" ? "Missed since" : "Accepted since"}
              data={starts}
              data-autofocus
              value={start}
              onChange={(value) => setStart(value ?? "24h")}
            />
            {start === CUSTOM && <OwnTime label="Since" value={ownStart} onChange={setOwnStart} />}
          </div>
          <div className="stack-small">
            <Select label="Until" data={ENDS} value={end} onChange={(value) => setEnd(value ?? "now")} />
            {end === CUSTOM && <OwnTime label="Until" value={ownEnd} onChange={setOwnEnd} />}
          </div>
          <NumberInput
            label="Deliveries a second"
            min={1}
            max={1000}
            value={rate}
            onChange={setRate}
            allowDecimal={false}
          />
        </div>
        <Checkbox.Group value={statuses} onChange={setStatuses} aria-label="Deliveries">
          <div className="row-wrap">
            {STATUSES[kind].map((status) => (
              <Checkbox
                key={status.value}
                value={status.value}
                label={
                  <>
                    {status.label} <span className="ink-3 number">{perStatus.get(status.value) ?? ""}</span>
                  </>
                }
              />
            ))}
          </div>
        </Checkbox.Group>
        {kind === "replay" && (
          <TagsInput
            label="Event types"
            description="Empty means all that the endpoint gets."
            data={eventTypes.map((type) => type.name)}
            value={types}
            onChange={setTypes}
          />
        )}
      </div>
      {!isRefused && (
        <DryRunResult
          state={counting}
          health={health}
          limit={endpoint.rate_limit_per_second}
          endpointId={endpoint.id}
          since={since}
        />
      )}
      {health && health.circuit_state !== "closed" && (
        <p className={classes.warning}>
          <IconInfoCircle size={15} stroke={1.8} />
          <span>
            The circuit is open now. What is requeued waits behind it and goes after the probe
            {health.held_until ? ` at ${timeOfDay(new Date(health.held_until))}` : ""} succeeds.
          </span>
        </p>
      )}
      {endpoint.status !== "active" && (
        <p className={classes.warning}>
          <IconInfoCircle size={15} stroke={1.8} />
          <span>
            {isRefused
              ? `The endpoint is ${endpoint.status} and gets nothing. ${endpoint.status === "expired" ? "Extend" : "Enable"} it first.`
              : `The endpoint is ${endpoint.status} now. What is requeued waits until it is active.`}
          </span>
        </p>
      )}
    </DryRunForm>
  );
}

function OwnTime(props: { label: string; value: string; onChange: (value: string) => void }) {
  return (
    <TextInput
      type="datetime-local"
      aria-label={props.label}
      value={props.value}
      onChange={(event) => props.onChange(event.currentTarget.value)}
    />
  );
}

/** Returns how many deliveries each status has, counted by dry runs of their own. */
function useStatusCounts(
  path: OwnedPath,
  kind: "recover" | "replay",
  isSettled: boolean,
  bodyOf: (statuses: string[]) => JobRequest["body"],
): Map<string, string> {
  const names = STATUSES[kind].map((status) => status.value);
  return useQueries({
    queries: names.map((name) => {
      const request = { kind, body: bodyOf([name]) } as JobRequest;
      return {
        queryKey: ["dry-run", path, JSON.stringify(request)],
        queryFn: () => dryRun(path, request),
        enabled: isSettled,
        gcTime: 0,
      };
    }),
    combine: (results) =>
      new Map(
        results.flatMap(({ data }, index) =>
          data ? [[names[index] ?? "", `${count(data.count)}${data.is_complete ? "" : "+"}`]] : [],
        ),
      ),
  });
}
