/** Drawer that adds or changes an endpoint. Only changed fields are sent; leaving with changes asks. */
import { Button, Drawer, NumberInput, Select, TagsInput, Textarea, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { queryClient, type Schemas } from "@/api/client";
import { createEndpoint, type Endpoint, updateEndpoint } from "@/api/endpoints";
import { eventTypesQuery } from "@/api/event-types";
import { Banner } from "@/components/feedback/Banner";
import { ConfirmDialog } from "@/components/feedback/ConfirmDialog";
import { ActError } from "@/components/feedback/ErrorState";
import { toast } from "@/components/feedback/toast";
import { IdCopy } from "@/components/status/IdCopy";
import { listOf } from "@/lib/json/json";
import classes from "../pages.module.css";

interface Props {
  isOpen: boolean;
  onClose: () => void;
  appId: string;
  endpoint?: Endpoint;
}

export function EndpointDrawer({ isOpen, onClose, appId, endpoint }: Props) {
  const [isChanged, setChanged] = useState(false);
  const [isLeaving, setLeaving] = useState(false);
  // After this event: the same press of Escape would close the dialog at once.
  const askLater = () => setTimeout(() => setLeaving(true));
  const leave = () => {
    setChanged(false);
    onClose();
  };
  return (
    <>
      <Drawer
        opened={isOpen}
        onClose={() => (isChanged ? askLater() : leave())}
        closeOnEscape={!isLeaving}
        title={endpoint ? "Edit the endpoint" : "Add an endpoint"}
      >
        {isOpen && (
          <Form appId={appId} {...(endpoint ? { endpoint } : {})} onChanged={setChanged} onDone={leave} />
        )}
      </Drawer>
      <ConfirmDialog
        isOpen={isLeaving}
        onClose={() => setLeaving(false)}
        title="Leave without saving?"
        verb="Leave"
        act={() => Promise.resolve(leave())}
      >
        {endpoint ? "The endpoint stays as it was." : "The endpoint is not added."}
      </ConfirmDialog>
    </>
  );
}

interface FormProps {
  appId: string;
  endpoint?: Endpoint;
  onChanged: (isChanged: boolean) => void;
  onDone: () => void;
}

type Fields = ReturnType<typeof fieldsOf>;

function fieldsOf(endpoint: Endpoint | undefined) {
  return {
    url: endpoint?.url ?? "",
    description: endpoint?.description ?? "",
    uid: endpoint?.uid ?? "",
    filter_types: listOf(endpoint?.filter_types),
    channels: listOf(endpoint?.channels),
    rate_limit_per_second: (endpoint?.rate_limit_per_second ?? "") as number | string,
    timeout_ms: (endpoint?.timeout_ms ?? "") as number | string,
    ordering: endpoint?.ordering ?? "none",
    ordering_key: endpoint?.ordering_key ?? "",
    on_failure: endpoint?.on_failure ?? "block",
    retry_schedule: listOf(endpoint?.retry_schedule).join(", "),
    headers: "",
  };
}

/** Returns the fields that differ from what the endpoint has, in the form of the API. */
export function changesOf(now: Fields, before: Fields): Schemas["UpdateEndpoint"] {
  const changes: Record<string, unknown> = {};
  for (const name of Object.keys(now) as (keyof Fields)[]) {
    if (JSON.stringify(now[name]) === JSON.stringify(before[name])) continue;
    changes[name] = valueOf(name, now[name]);
  }
  return changes;
}

function valueOf(name: keyof Fields, value: Fields[keyof Fields]): unknown {
  if (Array.isArray(value)) return value;
  if (name === "retry_schedule") {
    return value === ""
      ? null
      : String(value)
          .split(",")
          .map((part) => Number(part.trim()));
  }
  if (name === "headers") {
    const pairs = String(value)
      .split("\n")
      .filter((line) => line.includes(":"));
    return Object.fromEntries(
      pairs.map((line) => [
        line.slice(0, line.indexOf(":")).trim(),
        line.slice(line.indexOf(":") + 1).trim(),
      ]),
    );
  }
  if (name === "rate_limit_per_second" || name === "timeout_ms") return value === "" ? null : Number(value);
  return value === "" && name !== "url" ? null : value;
}

function Form({ appId, endpoint, onChanged, onDone }: FormProps) {
  const navigate = useNavigate();
  // The state in which the form began: changes of others meanwhile are neither shown as changes here nor undone by saving.
  const [start, setStart] = useState(endpoint);
  const before = useMemo(() => fieldsOf(start), [start]);
  const isStale = start !== undefined && endpoint?.updated_at !== start.updated_at;
  const reload = () => {
    setStart(endpoint);
    setFields(fieldsOf(endpoint));
    onChanged(false);
  };
  const [fields, setFields] = useState(before);
  const [secret, setSecret] = useState<{ id: string; value: string } | null>(null);
  const { data: types = [] } = useQuery(eventTypesQuery);
  const set = <K extends keyof Fields>(name: K, value: Fields[K]) => {
    const next = { ...fields, [name]: value };
    setFields(next);
    onChanged(Object.keys(changesOf(next, before)).length > 0);
  };
  const changes = changesOf(fields, before);
  const saving = useMutation({
    mutationFn: async () => {
      if (endpoint) return updateEndpoint({ appId, id: endpoint.id }, changes);
      return createEndpoint(appId, changes as Schemas["CreateEndpoint"]);
    },
    onSuccess: async (answer) => {
      await queryClient.invalidateQueries({ queryKey: ["endpoints"] });
      for (const warning of answer.warnings ?? []) toast(warning);
      if (endpoint) {
        toast("The endpoint is saved.");
        onDone();
      } else if (answer.endpoint.signing_secret) {
        onChanged(false);
        setSecret({ id: answer.endpoint.id, value: answer.endpoint.signing_secret });
      } else onDone();
    },
  });
  if (secret !== null) {
    return (
      <div className="stack">
        <Banner tone="careful">
          The signing secret is shown once. The receiver verifies webhooks with it.
        </Banner>
        <IdCopy value={secret.value} isFull label="signing secret" />
        <Button
          variant="filled"
          onClick={() =>
            void navigate({ to: "/dashboard/endpoints/$appId/$id", params: { appId: appId, id: secret.id } })
          }
        >
          Open the endpoint
        </Button>
      </div>
    );
  }
  const mark = (name: keyof Fields) => (endpoint && name in changes ? " (changed)" : "");
  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault();
        saving.mutate();
      }}
    >
      {isStale && !saving.isPending && !saving.isSuccess && (
        <Banner tone="careful" action={<Button onClick={reload}>Reload</Button>}>
          This endpoint changed elsewhere. Saving changes only the fields that you have changed here.
        </Banner>
      )}
      <TextInput
        label={`URL${mark("url")}`}
        type="url"
        required
        data-autofocus
        placeholder="https://hooks.example.com/webhooks"
        value={fields.url}
        onChange={(event) => set("url", event.currentTarget.value)}
      />
      <TextInput
        label={`Description${mark("description")}`}
        value={fields.description}
        onChange={(event) => set("description", event.currentTarget.value)}
      />
      <TagsInput
        label={`Event types${mark("filter_types")}`}
        description="Names, or a group such as invoice.*. Empty means all."
        data={types.map((type) => type.name)}
        value={fields.filter_types}
        onChange={(value) => set("filter_types", value)}
      />
      <NumberInput
        label={`Rate limit${mark("rate_limit_per_second")}`}
        description="Deliveries a second. Empty means no limit."
        min={0}
        allowDecimal={false}
        value={fields.rate_limit_per_second}
        onChange={(value) => set("rate_limit_per_second", value)}
      />
      <Select
        label={`Order${mark("ordering")}`}
        data={[
          { value: "none", label: "None: as fast as the receiver takes them" },
          { value: "strict", label: "Strict: one at a time, in order" },
          { value: "key", label: "By key: in order for each value of a field" },
        ]}
        value={fields.ordering}
        onChange={(value) => set("ordering", (value ?? "none") as Fields["ordering"])}
      />
      {fields.ordering === "key" && (
        <TextInput
          label={`Key${mark("ordering_key")}`}
          placeholder="$.customer_id"
          classNames={{ input: "mono" }}
          required
          value={fields.ordering_key}
          onChange={(event) => set("ordering_key", event.currentTarget.value)}
        />
      )}
      {fields.ordering !== "none" && (
        <Select
          label={`If one fails${mark("on_failure")}`}
          data={[
            { value: "block", label: "Those behind it wait" },
            { value: "skip", label: "Those behind it go on" },
            { value: "park", label: "It steps aside until its retry" },
          ]}
          value={fields.on_failure}
          onChange={(value) => set("on_failure", (value ?? "block") as Fields["on_failure"])}
        />
      )}
      <TagsInput
        label={`Channels${mark("channels")}`}
        description="The endpoint gets only messages that share one. Empty means all messages."
        value={fields.channels}
        onChange={(value) => set("channels", value)}
      />
      <NumberInput
        label={`Timeout in ms${mark("timeout_ms")}`}
        description="Empty means the default of the installation."
        min={1000}
        max={60_000}
        step={1000}
        value={fields.timeout_ms}
        onChange={(value) => set("timeout_ms", value)}
      />
      <TextInput
        label={`Retries after, in seconds${mark("retry_schedule")}`}
        description="Such as 5, 300, 1800. Empty means the default of the installation."
        classNames={{ input: "mono" }}
        value={fields.retry_schedule}
        onChange={(event) => set("retry_schedule", event.currentTarget.value)}
      />
      <Textarea
        label={`Headers${mark("headers")}`}
        description={
          endpoint?.headers
            ? "Replaces the headers that are set; their values are not shown. Empty keeps them."
            : "One a line, such as authorization: Bearer …"
        }
        autosize
        minRows={2}
        classNames={{ input: "mono" }}
        value={fields.headers}
        onChange={(event) => set("headers", event.currentTarget.value)}
      />
      <TextInput
        label={`Uid${mark("uid")}`}
        description="Optional. Your own id of the endpoint."
        classNames={{ input: "mono" }}
        value={fields.uid}
        onChange={(event) => set("uid", event.currentTarget.value)}
      />
      <ActError error={saving.error} />
      <div className={classes.dialogActions}>
        <Button
          type="submit"
          variant="filled"
          loading={saving.isPending}
          disabled={endpoint !== undefined && Object.keys(changes).length === 0}
        >
          {endpoint ? "Save" : "Add endpoint"}
        </Button>
      </div>
    </form>
  );
}
