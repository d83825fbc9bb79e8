/** Dialog that sends a message, with the example of its event type as the payload. */
import { Button, Modal, Select, Textarea, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { applicationChoicesQuery } from "@/api/applications";
import { eventTypesQuery } from "@/api/event-types";
import { sendMessage } from "@/api/messages";
import { ActError } from "@/components/feedback/ErrorState";
import { exampleOf } from "@/lib/json/schema-example";
import classes from "../pages.module.css";

interface Props {
  isOpen: boolean;
  onClose: () => void;
  applicationId?: string;
}

export function SendDialog({ isOpen, onClose, applicationId }: Props) {
  const navigate = useNavigate();
  const [appId, setAppId] = useState<string | null>(applicationId ?? null);
  const [type, setType] = useState<string | null>(null);
  const [eventId, setEventId] = useState("");
  const [payload, setPayload] = useState("{}");
  const { data: applications = [] } = useQuery({ ...applicationChoicesQuery(""), enabled: isOpen });
  const { data: types = [] } = useQuery({ ...eventTypesQuery, enabled: isOpen });
  const problem = problemOf(payload);
  const sending = useMutation({
    mutationFn: () =>
      sendMessage(appId ?? "", {
        event_type: type ?? "",
        payload: JSON.parse(payload),
        ...(eventId ? { event_id: eventId } : {}),
      }),
    onSuccess: (answer) => navigate({ to: "/dashboard/messages/$id", params: { id: answer.message.id } }),
  });
  return (
    <Modal opened={isOpen} onClose={onClose} title="Send a message" size={560}>
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          if (problem === null) sending.mutate();
        }}
      >
        {applicationId === undefined && (
          <Select
            label="Application"
            data-autofocus
            openOnFocus={false}
            searchable
            data={applications.map((one) => ({ value: one.id, label: one.name }))}
            value={appId}
            onChange={setAppId}
            required
          />
        )}
        <Select
          label="Event type"
          searchable
          data={types.filter((one) => one.status === "active").map((one) => one.name)}
          value={type}
          required
          onChange={(name) => {
            setType(name);
            const schema = types.find((one) => one.name === name)?.json_schema;
            if (schema) setPayload(JSON.stringify(exampleOf(JSON.parse(schema)), null, 2));
          }}
        />
        <TextInput
          label="Event id"
          description="Optional. A second message with the same id is refused."
          value={eventId}
          onChange={(event) => setEventId(event.currentTarget.value)}
        />
        <Textarea
          label="Payload"
          autosize
          minRows={6}
          maxRows={18}
          classNames={{ input: "mono" }}
          value={payload}
          error={problem}
          onChange={(event) => setPayload(event.currentTarget.value)}
        />
        <ActError error={sending.error} />
        <div className={classes.dialogActions}>
          <Button onClick={onClose}>Cancel</Button>
          <Button
            type="submit"
            variant="filled"
            loading={sending.isPending}
            disabled={!appId || !type || problem !== null}
          >
            Send
          </Button>
        </div>
      </form>
    </Modal>
  );
}

function problemOf(text: string): string | null {
  try {
    JSON.parse(text);
    return null;
  } catch (error) {
    return error instanceof Error ? `This is no JSON: ${error.message}` : "This is no JSON.";
  }
}
