/** Request and response of one attempt, side by side. */
import { SegmentedControl } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { Schemas } from "@/api/client";
import { type Attempt, exchangeQuery, type MessageKind } from "@/api/messages";
import { CodeBlock, CopyIcon } from "@/components/code/CodeBlock";
import { EmptyState } from "@/components/feedback/EmptyState";
import { ErrorState } from "@/components/feedback/ErrorState";
import { Skeletons } from "@/components/feedback/Skeletons";
import { Card, Facts } from "@/components/page/Card";
import { attemptState } from "@/components/status/states";
import { StatusBadge } from "@/components/status/StatusBadge";
import { RelativeTime } from "@/components/time/RelativeTime";
import { duration } from "@/lib/words/durations";
import { bytes } from "@/lib/words/numbers";
import { curlOfRequest } from "@/lib/json/curl";
import classes from "../pages.module.css";

/** Bytes of a response that are kept. */
const BODY_LIMIT = 16 * 1024;

export function Exchange({ attempt, kind }: { attempt: Attempt; kind: MessageKind }) {
  const found = useQuery(exchangeQuery(attempt, kind));
  return (
    <div className={classes["grid-half"]}>
      {found.data ? (
        <>
          <Request number={attempt.attempt_number} request={found.data.request ?? null} />
          <Response attempt={attempt} response={found.data.response ?? null} />
        </>
      ) : found.isError ? (
        <Card title="Request and response">
          <ErrorState what="Request and response" error={found.error} onRetry={() => void found.refetch()} />
        </Card>
      ) : (
        [0, 1].map((card) => (
          <Card key={card}>
            <Skeletons rows={4} />
          </Card>
        ))
      )}
    </div>
  );
}

function Request({ number, request }: { number: number; request: Schemas["SentRequest"] | null }) {
  const [shown, setShown] = useState("head");
  const title = (
    <>
      Request <span className="small ink-3 regular">attempt {number}</span>
    </>
  );
  if (request === null) {
    return (
      <Card title={title}>
        <EmptyState title="Not known">
          The endpoint was deleted, or it collects messages in batches, of which an attempt keeps no record.
        </EmptyState>
      </Card>
    );
  }
  return (
    <Card
      title={title}
      aside={
        <>
          <SegmentedControl
            aria-label="Part of the request"
            value={shown}
            onChange={setShown}
            data={[
              { value: "head", label: "Headers" },
              { value: "body", label: "Body" },
            ]}
          />
          <CopyIcon text={curlOfRequest(request)} label="Copy as curl" />
        </>
      }
    >
      {shown === "head" ? (
        <>
          <Facts
            facts={[
              [request.method, <code key="url">{request.url}</code>],
              ...Object.entries(request.headers).map(([name, value]): [string, React.ReactNode] => [
                name,
                <code key={name}>{value}</code>,
              ]),
            ]}
          />
          {request.endpoint_changed_at && (
            <p className={`small ink-2 ${classes.inset ?? ""}`}>
              The endpoint was changed <RelativeTime value={request.endpoint_changed_at} />, after this
              attempt: address, headers and signature are those of today.
            </p>
          )}
        </>
      ) : request.body === null || request.body === undefined ? (
        <EmptyState title="No body">The payload was removed.</EmptyState>
      ) : (
        <CodeBlock text={request.body} isIndented={false} fileName="request.json" />
      )}
    </Card>
  );
}

function Response({ attempt, response }: { attempt: Attempt; response: Schemas["ReceivedResponse"] | null }) {
  const [shown, setShown] = useState("body");
  const body = response?.body;
  const size = body ? new Blob([body]).size : 0;
  return (
    <Card
      title={
        <span className="row">
          Response <StatusBadge state={attemptState(attempt)} />
        </span>
      }
      aside={
        response && (
          <>
            <span>after {duration(attempt.duration_ms)}</span>
            <SegmentedControl
              aria-label="Part of the response"
              value={shown}
              onChange={setShown}
              data={[
                { value: "headers", label: "Headers" },
                { value: "body", label: "Body" },
              ]}
            />
          </>
        )
      }
    >
      {response === null ? (
        <EmptyState title="No answer">The attempt broke off before a response came.</EmptyState>
      ) : shown === "headers" ? (
        response.headers.length === 0 ? (
          <EmptyState title="No headers">The response had none.</EmptyState>
        ) : (
          <Facts
            facts={response.headers.map(({ name, value }, index): [string, React.ReactNode] => [
              name,
              <code key={index}>{value}</code>,
            ])}
          />
        )
      ) : body ? (
        <>
          <CodeBlock text={body} />
          <p className={`small ink-3 ${classes.inset ?? ""}`}>
            {size >= BODY_LIMIT ? "The first 16 KiB. Longer answers are cut here." : `${bytes(size)}.`}
          </p>
        </>
      ) : (
        <EmptyState title="No body">The receiver answered without one.</EmptyState>
      )}
    </Card>
  );
}
