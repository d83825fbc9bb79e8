/** Form of the retry of a filter with its dry run. Nothing starts without a count for exactly this form. */
import { Checkbox, NumberInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { IconInfoCircle } from "@tabler/icons-react";
import { useState } from "react";
import { queryClient } from "@/api/client";
import { forecastRetry, type Job, startRetry } from "@/api/jobs";
import { DryRunForm } from "@/components/dry-run/DryRunForm";
import { useDryRun } from "@/components/dry-run/useDryRun";
import type { FilterField, Filters } from "@/lib/filters";
import { counted } from "@/lib/words/numbers";
import classes from "@/components/dry-run/DryRun.module.css";
import { Forecast } from "./Forecast";
import { commandOf, notApplied, requestOf, statusesOf } from "./retry-filter";

interface Props {
  filters: Filters;
  fields: FilterField[];
  chosen: string[];
  onCancel: () => void;
  onStarted: (jobs: Job[]) => void;
}

export function RetryForm({ filters, fields, chosen, onCancel, onStarted }: Props) {
  const [now] = useState(() => new Date());
  const [statuses, setStatuses] = useState(() => statusesOf(filters));
  const [rate, setRate] = useState<number | string>(100);
  const unknown = notApplied(filters, fields);
  const request = requestOf(filters, statuses, Number(rate), now);
  const isComplete = statuses.length > 0 && unknown.length === 0;
  const dryRun = useDryRun({ name: ["messages"], request, isComplete, ask: forecastRetry });
  const starting = useMutation({
    mutationFn: () => startRetry(request),
    onSuccess: async (jobs) => {
      await queryClient.invalidateQueries({ queryKey: ["jobs"] });
      onStarted(jobs);
    },
  });
  const result = dryRun.counted?.result;
  const canBegin = dryRun.isFresh && result !== undefined && result.count > 0;
  return (
    <DryRunForm
      command={commandOf(request, location.origin)}
      mayCopy={isComplete}
      verb={canBegin ? `Retry ${counted(result.count, "delivery", "deliveries")}` : "Retry"}
      canBegin={canBegin}
      isStarting={starting.isPending}
      error={starting.error}
      onBegin={() => starting.mutate()}
      onCancel={onCancel}
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
        <Forecast state={dryRun} />
      )}
    </DryRunForm>
  );
}
