/** One event type: schema editor left, generated example and fields right. */
import { Button, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { useState } from "react";
import { queryClient, type Schemas } from "@/api/client";
import { deleteEventType, type EventType, eventTypesQuery, updateEventType } from "@/api/event-types";
import { useMay } from "@/api/session";
import { sentenceOf } from "@/api/errors";
import { JsonEditor } from "@/components/code/JsonEditor";
import { CodeBlock } from "@/components/code/CodeBlock";
import { ConfirmDialog } from "@/components/feedback/ConfirmDialog";
import { EmptyState } from "@/components/feedback/EmptyState";
import { ActError, ErrorState } from "@/components/feedback/ErrorState";
import { Skeletons } from "@/components/feedback/Skeletons";
import { toast } from "@/components/feedback/toast";
import { Card } from "@/components/page/Card";
import { type Crumb, Page, Title } from "@/components/page/Page";
import { IdCopy } from "@/components/status/IdCopy";
import { plainState } from "@/components/status/states";
import { StatusBadge } from "@/components/status/StatusBadge";
import { PlainTable } from "@/components/table/PlainTable";
import { RelativeTime } from "@/components/time/RelativeTime";
import { type JsonProblem, jsonProblem, schemaProblem } from "@/lib/json/problem";
import { indentJson } from "@/lib/json/json";
import { exampleOf, fieldsOf } from "@/lib/json/schema-example";
import classes from "../pages.module.css";
import { WhoListens } from "./WhoListens";

export function EventTypePage() {
  const { id } = useParams({ from: "/dashboard/event-types/$id" });
  const list = useQuery(eventTypesQuery);
  const type = list.data?.find((one) => one.id === id);
  const crumbs: Crumb[] = [
    { label: "Event types", link: { to: "/dashboard/event-types" } },
    { label: type?.name ?? "Event type" },
  ];
  if (type === undefined) {
    return (
      <Page crumbs={crumbs}>
        {list.isError && (
          <ErrorState what="The event type" error={list.error} onRetry={() => void list.refetch()} />
        )}
        {list.isPending && <Skeletons rows={8} />}
        {list.isSuccess && (
          <EmptyState title="There is no such event type here">It may be in another environment.</EmptyState>
        )}
      </Page>
    );
  }
  return <Editor key={type.updated_at} type={type} crumbs={crumbs} />;
}

/** Returns the value of a JSON text, and what is wrong with it. */
function parse(text: string): { value: unknown; problem: JsonProblem | null } {
  if (text.trim() === "") return { value: null, problem: null };
  const problem = jsonProblem(text);
  return { value: problem === null ? JSON.parse(text) : null, problem };
}

function Editor({ type, crumbs }: { type: EventType; crumbs: Crumb[] }) {
  const navigate = useNavigate();
  const mayWrite = useMay("event_types:write");
  const before = type.json_schema ? (indentJson(type.json_schema) ?? type.json_schema) : "";
  const [schema, setSchema] = useState(before);
  const [description, setDescription] = useState(type.description ?? "");
  const [sent, setSent] = useState("");
  const [isDeleting, setDeleting] = useState(false);
  const { value, problem } = parse(schema);
  const isChanged = schema !== before || description !== (type.description ?? "");
  const saving = useMutation({
    mutationFn: (body: Parameters<typeof updateEventType>[1]) => updateEventType(type.id, body),
    onSuccess: async () => {
      toast(`${type.name} is saved.`);
      await queryClient.invalidateQueries({ queryKey: ["event-types"] });
    },
  });
  // What the server refused stands at its line until the text is changed.
  const isRefused = saving.isError && saving.variables.json_schema !== undefined && sent === schema;
  const refused = isRefused ? schemaProblem(sentenceOf(saving.error), schema) : null;
  const fields = fieldsOf(value);
  return (
    <Page
      crumbs={crumbs}
      actions={
        mayWrite && (
          <>
            <Button onClick={() => setDeleting(true)}>Delete…</Button>
            <Button
              onClick={() => saving.mutate({ status: type.status === "active" ? "archived" : "active" })}
            >
              {type.status === "active" ? "Archive" : "Restore"}
            </Button>
            <Button
              variant="filled"
              disabled={!isChanged || problem !== null}
              loading={saving.isPending}
              onClick={() => {
                setSent(schema);
                saving.mutate({
                  ...(description === (type.description ?? "") ? {} : { description: description || null }),
                  ...(schema === before
                    ? {}
                    : {
                        json_schema:
                          schema.trim() === "" ? null : (value as Schemas["UpdateEventType"]["json_schema"]),
                      }),
                });
              }}
            >
              Save
            </Button>
          </>
        )
      }
    >
      <Title
        text={type.name}
        badge={<StatusBadge state={plainState(type.status)} isTinted />}
        facts={
          <>
            <IdCopy value={type.id} />
            <span>
              Changed <RelativeTime value={type.updated_at} />
            </span>
          </>
        }
      />
      {refused === null && <ActError error={saving.error} />}
      {mayWrite ? (
        <TextInput
          label="Description"
          maw={640}
          value={description}
          onChange={(event) => setDescription(event.currentTarget.value)}
        />
      ) : (
        description !== "" && <p className="ink-2">{description}</p>
      )}
      <div className={classes["grid-half"]}>
        <Card
          title="JSON Schema"
          aside={schema.trim() === "" ? "empty: every payload is accepted" : "checked on acceptance"}
        >
          <JsonEditor
            label="JSON Schema"
            value={schema}
            problem={problem ?? refused}
            isReadOnly={!mayWrite}
            onChange={setSchema}
          />
        </Card>
        <div className="stack">
          <Card title="Example" aside="made from the schema">
            {schema.trim() === "" || problem !== null ? (
              <EmptyState title="No example">A schema gives one.</EmptyState>
            ) : (
              <CodeBlock text={JSON.stringify(exampleOf(value), null, 2)} />
            )}
          </Card>
          {fields.length > 0 && (
            <Card title="Fields">
              <PlainTable
                label="Fields"
                rows={fields}
                idOf={(field) => field.path}
                columns={[
                  { head: "Field", cell: (field) => <code>{field.path}</code> },
                  { head: "Type", cell: (field) => field.type },
                  {
                    head: "Required",
                    cell: (field) =>
                      field.isRequired ? "required" : <span className="ink-3">optional</span>,
                  },
                ]}
              />
            </Card>
          )}
        </div>
      </div>
      <WhoListens eventType={type.name} />
      <ConfirmDialog
        isOpen={isDeleting}
        onClose={() => setDeleting(false)}
        title={`Delete ${type.name}?`}
        verb="Delete"
        isDangerous
        nameToType={type.name}
        act={async () => {
          await deleteEventType(type.id);
          await navigate({ to: "/dashboard/event-types" });
          await queryClient.invalidateQueries({ queryKey: ["event-types"] });
        }}
      >
        Its schema is gone. Messages that were accepted stay.
      </ConfirmDialog>
    </Page>
  );
}
