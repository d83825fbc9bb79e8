/** Form of recover and replay with its dry run. Nothing starts without a count for exactly this form. */
import { Button, Checkbox, CopyButton, NumberInput, Select, TagsInput, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useMutation, useQueries, useQuery } from "@tanstack/react-query";
import { IconCopy, IconInfoCircle } from "@tabler/icons-react";
import { useState } from "react";
import { queryClient } from "@/api/client";
import type { Endpoint, EndpointHealth, EndpointPath } from "@/api/endpoints";
import { eventTypesQuery } from "@/api/event-types";
import { dryRun, type Job, type JobRequest, startJob } from "@/api/jobs";
import { ActError } from "@/components/feedback/ErrorState";
import { Keys } from "@/components/feedback/Keys";
import { count, counted } from "@/lib/words/numbers";
import { timeOfDay } from "@/lib/words/times";
import { isMac } from "@/shell/Sidebar";
import { DryRunResult } from "./DryRunResult";
import { commandOf, CUSTOM, startsOf, timeOfChoice } from "./recover";
import classes from "./Recover.module.css";

interface Props {
  kind: "recover" | "replay";
  path: EndpointPath;
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

/** Time for which a form has to rest before it is counted. */
const RESTS_MS = 300;

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
  const isComplete = since !== null && until !== null && statuses.length > 0;
  const key = JSON.stringify(request);
  const [settled] = useDebouncedValue(key, RESTS_MS);
  const counting = useQuery({
    queryKey: ["dry-run", path, settled],
    queryFn: async () => {
      const began = performance.now();
      const result = await dryRun(path, JSON.parse(settled) as JobRequest);
      return { result, tookMs: performance.now() - began, at: Date.now() };
    },
    enabled: isComplete,
    staleTime: 0,
    gcTime: 0,
  });
  const isFresh = isComplete && settled === key && counting.isSuccess && !counting.isFetching;
  const perStatus = useStatusCounts(path, kind, settled === key && isComplete, bodyOf);
  const starting = useMutation({
    mutationFn: () => startJob(path, request),
    onSuccess: async (job) => {
      await queryClient.invalidateQueries({ queryKey: ["jobs"] });
      onStarted(job);
    },
  });
  const verb = kind === "recover" ? "Recover" : "Replay";
  const result = counting.data?.result;
  const begin = () => {
    if (isFresh && result && result.count > 0 && !starting.isPending) starting.mutate();
  };
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        begin();
      }}
      onKeyDown={(event) => {
        if (event.key !== "Enter" || !(event.metaKey || event.ctrlKey)) return;
        event.preventDefault();
        begin();
      }}
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
      <DryRunResult
        counted={counting.data}
        error={counting.error}
        isFresh={isFresh}
        health={health}
        limit={endpoint.rate_limit_per_second}
        endpointId={endpoint.id}
        since={since}
      />
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
          <span>The endpoint is {endpoint.status} now. What is requeued waits until it is active.</span>
        </p>
      )}
      <div className={classes.foot}>
        <CopyButton value={commandOf(request, endpoint.id, path.appId)} timeout={1500}>
          {({ copied, copy }) => (
            <Button
              variant="subtle"
              color="gray"
              leftSection={<IconCopy size={15} stroke={1.6} />}
              onClick={copy}
            >
              {copied ? "Copied" : "Copy as command"}
            </Button>
          )}
        </CopyButton>
        <ActError error={starting.error} />
        <span className="row">
          <Button onClick={onCancel}>Cancel</Button>
          <Button
            type="submit"
            variant="filled"
            loading={starting.isPending}
            disabled={!isFresh || result?.count === 0}
            rightSection={<Keys keys={isMac() ? "⌘↵" : "Ctrl ↵"} />}
          >
            {isFresh && result ? `${verb} ${counted(result.count, "delivery", "deliveries")}` : verb}
          </Button>
        </span>
      </div>
    </form>
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
  path: EndpointPath,
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
