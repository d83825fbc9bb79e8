/** Request and response of one attempt, side by side. */
import { SegmentedControl } from "@mantine/core";
import { useState } from "react";
import type { Attempt } from "@/api/messages";
import { CodeBlock } from "@/components/code/CodeBlock";
import { EmptyState } from "@/components/feedback/EmptyState";
import { Card, Facts } from "@/components/page/Card";
import { IdCopy } from "@/components/status/IdCopy";
import { attemptState } from "@/components/status/states";
import { StatusBadge } from "@/components/status/StatusBadge";
import { duration } from "@/lib/words/durations";
import { bytes } from "@/lib/words/numbers";
import classes from "../pages.module.css";

/** Bytes of a response that are kept. */
const BODY_LIMIT = 16 * 1024;

interface RequestProps {
  attempt: Attempt;
  eventType: string;
  payload: string | null | undefined;
}

export function Request({ attempt, eventType, payload }: RequestProps) {
  const [shown, setShown] = useState("facts");
  return (
    <Card
      title={
        <>
          Request <span className="small ink-3 regular">attempt {attempt.attempt_number}</span>
        </>
      }
      aside={
        <SegmentedControl
          aria-label="Part of the request"
          value={shown}
          onChange={setShown}
          data={[
            { value: "facts", label: "Facts" },
            { value: "body", label: "Body" },
          ]}
        />
      }
    >
      {shown === "facts" ? (
        <Facts
          facts={[
            ["Address", <code key="url">POST {attempt.endpoint_url ?? "(deleted endpoint)"}</code>],
            ["webhook-id", <IdCopy key="id" value={attempt.message_id} isFull />],
            ["Event type", <code key="type">{eventType}</code>],
            ["Attempt", <IdCopy key="attempt" value={attempt.id} isFull />],
            ["Why sent", attempt.trigger_type],
          ]}
        />
      ) : payload === null || payload === undefined ? (
        <EmptyState title="No body">The payload was removed.</EmptyState>
      ) : (
        <CodeBlock text={payload} />
      )}
    </Card>
  );
}

export function Response({ attempt }: { attempt: Attempt }) {
  const body = attempt.response_body;
  const size = body ? new Blob([body]).size : 0;
  return (
    <Card
      title={
        <span className="row">
          Response <StatusBadge state={attemptState(attempt)} />
        </span>
      }
      aside={attempt.response_status ? `after ${duration(attempt.duration_ms)}` : undefined}
    >
      {body ? (
        <>
          <CodeBlock text={body} />
          <p className={`small ink-3 ${classes.inset ?? ""}`}>
            {size >= BODY_LIMIT ? "The first 16 KiB. Longer answers are cut here." : `${bytes(size)}.`}
          </p>
        </>
      ) : (
        <EmptyState title={attempt.response_status ? "No body" : "No answer"}>
          {attempt.response_status ? undefined : "The attempt broke off before a response came."}
        </EmptyState>
      )}
    </Card>
  );
}
