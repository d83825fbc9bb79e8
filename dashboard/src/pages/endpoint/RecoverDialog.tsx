/** Dialog of recover and replay: a form, what it would send, and the act. Nothing starts without a count for this form. */
import { Button, Checkbox, Modal, NumberInput, Select, TagsInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { queryClient } from "@/api/client";
import type { EndpointPath } from "@/api/endpoints";
import { eventTypesQuery } from "@/api/event-types";
import { dryRun, type JobRequest, startJob } from "@/api/jobs";
import { Banner } from "@/components/feedback/Banner";
import { ActError } from "@/components/feedback/ErrorState";
import { Figures } from "@/components/page/Card";
import { IdCopy } from "@/components/status/IdCopy";
import { PlainTable } from "@/components/table/PlainTable";
import { RelativeTime } from "@/components/time/RelativeTime";
import { span } from "@/lib/words/durations";
import { RANGES, timeOfFilter } from "@/lib/filters";
import { count, counted } from "@/lib/words/numbers";
import { JobToast } from "../engine/JobToast";
import classes from "../pages.module.css";

interface Props {
  kind: "recover" | "replay";
  isOpen: boolean;
  onClose: () => void;
  path: EndpointPath;
  name: string;
  isCircuitOpen: boolean;
}

const STATUSES = {
  recover: [
    { value: "exhausted", label: "Exhausted" },
    { value: "skipped", label: "Skipped" },
  ],
  replay: [
    { value: "delivered", label: "Delivered" },
    { value: "exhausted", label: "Exhausted" },
    { value: "skipped", label: "Skipped" },
  ],
};

export function RecoverDialog(props: Props) {
  const { kind, isOpen, onClose, name } = props;
  return (
    <Modal
      opened={isOpen}
      onClose={onClose}
      size={640}
      title={kind === "recover" ? `Recover ${name}` : `Replay to ${name}`}
    >
      {isOpen && <Form {...props} />}
    </Modal>
  );
}

function Form({ kind, onClose, path, name, isCircuitOpen }: Props) {
  const [range, setRange] = useState("24h");
  const [rate, setRate] = useState<number | string>(100);
  const [statuses, setStatuses] = useState(STATUSES[kind].map((status) => status.value));
  const [types, setTypes] = useState<string[]>([]);
  const [now] = useState(() => new Date());
  const { data: eventTypes = [] } = useQuery({ ...eventTypesQuery, enabled: kind === "replay" });
  const body = {
    since: timeOfFilter(range, now),
    rate_limit: Number(rate) || 100,
    statuses,
    ...(kind === "replay" && types.length > 0 ? { event_types: types } : {}),
  };
  const request = { kind, body } as JobRequest;
  const key = JSON.stringify(request);
  const [settled] = useDebouncedValue(key, 300);
  const counting = useQuery({
    queryKey: ["dry-run", path, settled],
    queryFn: () => dryRun(path, JSON.parse(settled) as JobRequest),
    enabled: statuses.length > 0,
    staleTime: 0,
    gcTime: 0,
  });
  const isFresh = settled === key && counting.isSuccess && !counting.isFetching;
  const result = counting.data;
  const starting = useMutation({
    mutationFn: () => startJob(path, request),
    onSuccess: async (job) => {
      JobToast.show(job, name);
      await queryClient.invalidateQueries({ queryKey: ["jobs"] });
      onClose();
    },
  });
  const verb = kind === "recover" ? "Recover" : "Replay";
  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault();
        if (isFresh) starting.mutate();
      }}
    >
      <p className="ink-2">
        {kind === "recover"
          ? "Sends again what this endpoint missed, oldest first, with the same webhook-id. What still waits is left alone."
          : "Sends messages of a time again, also those that arrived. The receiver sees the same webhook-id."}
      </p>
      <div className={classes["grid-half"]}>
        <Select
          label="Accepted in"
          data={RANGES.map(({ value, label }) => ({ value, label }))}
          value={range}
          onChange={(value) => setRange(value ?? "24h")}
        />
        <NumberInput
          label="Deliveries a second"
          min={1}
          max={1000}
          value={rate}
          onChange={setRate}
          allowDecimal={false}
        />
      </div>
      <Checkbox.Group value={statuses} onChange={setStatuses}>
        <div className="row-wrap">
          {STATUSES[kind].map((status) => (
            <Checkbox key={status.value} value={status.value} label={status.label} />
          ))}
        </div>
      </Checkbox.Group>
      {kind === "replay" && (
        <TagsInput
          label="Event types"
          description="Empty means all that the endpoint wants."
          data={eventTypes.map((type) => type.name)}
          value={types}
          onChange={setTypes}
        />
      )}
      <section aria-live="polite" className={classes.dryRun} data-stale={!isFresh || undefined}>
        <h3>Dry run: nothing has been sent</h3>
        {counting.isError ? (
          <ActError error={counting.error} />
        ) : result ? (
          <>
            <Figures
              figures={[
                {
                  label: "Deliveries",
                  value: `${count(result.count)}${result.is_complete ? "" : "+"}`,
                  note: "become pending",
                },
                {
                  label: "To queue them",
                  value: span(result.duration_s),
                  note: `at ${count(result.rate_limit)} a second`,
                },
                { label: "Left out", value: count(result.payload_expired), note: "payload removed" },
              ]}
            />
            {result.sample.length > 0 && (
              <PlainTable
                label="Sample"
                rows={result.sample.slice(0, 3)}
                idOf={(sample) => sample.id}
                columns={[
                  { head: "Event type", cell: (sample) => <span className="name">{sample.event_type}</span> },
                  { head: "Message", cell: (sample) => <IdCopy value={sample.id} /> },
                  { head: "State", cell: (sample) => sample.status ?? "" },
                  {
                    head: "Accepted",
                    cell: (sample) => <RelativeTime value={sample.created_at} />,
                    isNumber: true,
                  },
                ]}
              />
            )}
          </>
        ) : (
          <p className="small ink-3">Counting.</p>
        )}
      </section>
      {isCircuitOpen && (
        <Banner tone="careful">
          The circuit is open now. What is sent again waits behind it until a probe succeeds.
        </Banner>
      )}
      <ActError error={starting.error} />
      <div className={classes.dialogActions}>
        <Button onClick={onClose}>Cancel</Button>
        <Button
          type="submit"
          variant="filled"
          loading={starting.isPending}
          disabled={!isFresh || result?.count === 0}
        >
          {isFresh && result ? `${verb} ${counted(result.count, "delivery", "deliveries")}` : verb}
        </Button>
      </div>
    </form>
  );
}
