/** Form of the retry of a filter with its dry run. Nothing starts without a count for exactly this form. */
import { Button, Checkbox, CopyButton, NumberInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useMutation, useQuery } from "@tanstack/react-query";
import { IconCopy, IconInfoCircle } from "@tabler/icons-react";
import { useState } from "react";
import { queryClient } from "@/api/client";
import { forecastRetry, type Job, startRetry } from "@/api/jobs";
import { ActError } from "@/components/feedback/ErrorState";
import { Keys } from "@/components/feedback/Keys";
import type { FilterField, Filters } from "@/lib/filters";
import { counted } from "@/lib/words/numbers";
import { isMac } from "@/shell/Sidebar";
import classes from "../endpoint/Recover.module.css";
import { Forecast } from "./Forecast";
import { commandOf, notApplied, requestOf, type RetryRequest, statusesOf } from "./retry-filter";

interface Props {
  filters: Filters;
  fields: FilterField[];
  chosen: string[];
  onCancel: () => void;
  onStarted: (jobs: Job[]) => void;
}

/** Time for which a form has to rest before it is counted. */
const RESTS_MS = 300;

export function RetryForm({ filters, fields, chosen, onCancel, onStarted }: Props) {
  const [now] = useState(() => new Date());
  const [statuses, setStatuses] = useState(() => statusesOf(filters));
  const [rate, setRate] = useState<number | string>(100);
  const unknown = notApplied(filters, fields);
  const request = requestOf(filters, statuses, Number(rate), now);
  const isComplete = statuses.length > 0 && unknown.length === 0;
  const key = JSON.stringify(request);
  const [settled] = useDebouncedValue(key, RESTS_MS);
  const counting = useQuery({
    queryKey: ["dry-run", "messages", settled],
    queryFn: async () => {
      const began = performance.now();
      const result = await forecastRetry(JSON.parse(settled) as RetryRequest);
      return { result, tookMs: performance.now() - began };
    },
    enabled: isComplete,
    placeholderData: (before) => before,
    staleTime: 0,
    gcTime: 0,
  });
  const isFresh = isComplete && settled === key && counting.isSuccess && !counting.isFetching;
  const starting = useMutation({
    mutationFn: () => startRetry(request),
    onSuccess: async (jobs) => {
      await queryClient.invalidateQueries({ queryKey: ["jobs"] });
      onStarted(jobs);
    },
  });
  const result = counting.data?.result;
  const canBegin = isFresh && result !== undefined && result.count > 0;
  const begin = () => {
    if (canBegin && !starting.isPending) starting.mutate();
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
          Sends again what failed, oldest first, with the same webhook-id. What has arrived or still waits is
          left alone.
        </p>
        <p>
          <span className="ink-2">Messages: </span>
          {chosen.length === 0 ? "all that are kept" : chosen.join(" · ")}
        </p>
        <div className={classes.fields}>
          <Checkbox.Group label="Deliveries" value={statuses} onChange={setStatuses}>
            <div className="stack-small">
              <Checkbox value="exhausted" label="Exhausted" data-autofocus />
              <Checkbox value="skipped" label="Skipped while disabled" />
            </div>
          </Checkbox.Group>
          <NumberInput
            label="Deliveries a second"
            description="To each endpoint."
            min={1}
            max={1000}
            value={rate}
            onChange={setRate}
            allowDecimal={false}
          />
        </div>
      </div>
      {unknown.length > 0 ? (
        <p className={classes.warning} role="alert">
          <IconInfoCircle size={15} stroke={1.8} />
          <span>
            Not applied: {unknown.join("; ")}. A retry cannot select by it and would send more than the list
            shows. Remove it from the list first.
          </span>
        </p>
      ) : (
        <Forecast counted={counting.data} error={counting.error} isFresh={isFresh} />
      )}
      <div className={classes.foot}>
        <CopyButton value={commandOf(request, location.origin)} timeout={1500}>
          {({ copied, copy }) => (
            <Button
              variant="subtle"
              color="gray"
              leftSection={<IconCopy size={15} stroke={1.6} />}
              disabled={!isComplete}
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
            disabled={!canBegin}
            rightSection={<Keys keys={isMac() ? "⌘↵" : "Ctrl ↵"} />}
          >
            {canBegin ? `Retry ${counted(result.count, "delivery", "deliveries")}` : "Retry"}
          </Button>
        </span>
      </div>
    </form>
  );
}
