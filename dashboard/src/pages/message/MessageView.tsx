/** One message, of an application or operational: why it has or has not arrived, its deliveries, their attempts, payload and responses. */
import { Button, CopyButton } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { IconRotateClockwise, IconTerminal2 } from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { applicationQuery } from "@/api/applications";
import { queryClient } from "@/api/client";
import { hasStatus } from "@/api/errors";
import { type Endpoint, nameOf, useEndpointsById } from "@/api/endpoints";
import { useLive } from "@/api/live";
import { explanationQuery, type MessageKind, messageQuery, type RetryOf, retryMessage } from "@/api/messages";
import { OPERATIONAL_POLL_MS } from "@/api/operational";
import { useMay } from "@/api/session";
import { CodeBlock } from "@/components/code/CodeBlock";
import { ConfirmDialog } from "@/components/feedback/ConfirmDialog";
import { EmptyState } from "@/components/feedback/EmptyState";
import { ErrorState } from "@/components/feedback/ErrorState";
import { Skeletons } from "@/components/feedback/Skeletons";
import { toast } from "@/components/feedback/toast";
import { Card } from "@/components/page/Card";
import { LiveState } from "@/components/page/LiveState";
import { type Crumb, Page, Title } from "@/components/page/Page";
import { IdCopy } from "@/components/status/IdCopy";
import { summaryState } from "@/components/status/states";
import { StatusBadge } from "@/components/status/StatusBadge";
import { RelativeTime } from "@/components/time/RelativeTime";
import { curlOfMessage } from "@/lib/json/curl";
import { shortUrl } from "@/lib/words/ids";
import { bytes, counted } from "@/lib/words/numbers";
import { timeOfDay } from "@/lib/words/times";
import { useKeys } from "@/shell/keys";
import classes from "../pages.module.css";
import { AttemptDetail, Attempts } from "./Attempts";
import { Deliveries } from "./Deliveries";
import { History } from "./History";
import { historyOf } from "./history";
import { PlaceInList } from "./PlaceInList";
import { RetryMenu } from "./RetryMenu";
import { Why } from "./Why";
import own from "./Message.module.css";

/** Delivery and attempt that a page has selected. */
export interface Selected {
  delivery?: string;
  attempt?: string;
}

interface Props {
  id: string;
  kind: MessageKind;
  search: Selected;
  select: (next: Selected) => void;
  /** List that the message is in. */
  list: Crumb;
}

export function MessageView({ id, kind, search, select, list }: Props) {
  const isOperational = kind === "operational";
  const detail = useQuery({
    ...messageQuery(id, kind),
    // The live stream tells of messages of applications alone.
    refetchInterval: (query) =>
      isOperational && query.state.data?.message.status === "pending" ? OPERATIONAL_POLL_MS : false,
  });
  const state = detail.data?.message.status;
  const explanation = useQuery({
    ...explanationQuery(id, kind),
    refetchInterval: isOperational && state === "pending" ? OPERATIONAL_POLL_MS : false,
  });
  useLive("messages", async () => {
    if (detail.data?.message.status === "pending")
      await queryClient.invalidateQueries({
        queryKey: ["messages"],
        predicate: (query) => query.queryKey[2] === id,
      });
  });
  const message = detail.data?.message;
  const appId = isOperational ? null : (message?.application_id ?? "");
  const { data: application } = useQuery({ ...applicationQuery(appId ?? ""), enabled: Boolean(appId) });
  const deliveries = detail.data?.deliveries ?? [];
  const endpoints = useEndpointsById(
    deliveries.filter((one) => one.endpoint_url).map((one) => ({ appId, id: one.endpoint_id })),
  );
  const mayRetry = useMay("messages:write");
  const mayRecover = useMay("jobs:write") && !isOperational;
  const [asked, setAsked] = useState<RetryOf | null>(null);
  const retrying = useMutation({
    mutationFn: (what: RetryOf) => retryMessage({ appId, msgId: id }, what),
    onError: (error) => toast(error.message),
    onSuccess: async (answer) => {
      toast(answer.retried ? "It is sent again." : "There was nothing to send again.");
      await queryClient.invalidateQueries({ queryKey: ["messages"] });
    },
  });

  const selected =
    deliveries.find((one) => one.endpoint_id === search.delivery) ??
    deliveries.find((one) => one.status !== "succeeded") ??
    deliveries[0];
  const attempts = (detail.data?.attempts ?? [])
    .filter((one) => one.endpoint_id === selected?.endpoint_id)
    .sort((a, b) => a.attempt_number - b.attempt_number);
  const attempt = attempts.find((one) => one.id === search.attempt) ?? attempts[attempts.length - 1];
  const explained = explanation.data?.endpoints.find((one) => one.endpoint_id === selected?.endpoint_id);
  const unmatched = explanation.data?.endpoints.filter((one) => !one.matched) ?? [];
  const failed = deliveries.filter(
    (one) => one.status === "exhausted" || (one.status === "pending" && one.attempt_count > 0),
  );
  const stepDelivery = (step: number) => {
    const next = deliveries[deliveries.findIndex((one) => one.endpoint_id === selected?.endpoint_id) + step];
    if (next) select({ delivery: next.endpoint_id });
  };
  const retry = (what: RetryOf) => {
    const affected = what.kind === "all" ? deliveries.length : failed.length;
    if (what.kind === "endpoint" || affected <= 1) retrying.mutate(what);
    else setAsked(what);
  };
  useKeys([
    { keys: "[", label: "Previous delivery", run: () => stepDelivery(-1) },
    { keys: "]", label: "Next delivery", run: () => stepDelivery(1) },
    { keys: "c", label: "Copy the id", run: () => void navigator.clipboard.writeText(id) },
    {
      keys: "e",
      label: "Explain",
      run: () => document.getElementById("why")?.scrollIntoView({ block: "center" }),
    },
    ...(mayRetry
      ? [
          { keys: "r", label: "Retry what failed", run: () => retry({ kind: "failed" }) },
          { keys: "⇧R", label: "Retry all deliveries", run: () => retry({ kind: "all" }) },
        ]
      : []),
  ]);

  const crumbs: Crumb[] = [list, { label: message?.event_type ?? "Message" }];
  if (detail.isError) {
    return (
      <Page crumbs={crumbs}>
        {hasStatus(detail.error, 404) ? (
          <EmptyState title="There is no such message here">
            It may be in another environment, or older than the time that messages are kept.
          </EmptyState>
        ) : (
          <ErrorState what="The message" error={detail.error} onRetry={() => void detail.refetch()} />
        )}
      </Page>
    );
  }
  if (message === undefined) {
    return (
      <Page crumbs={crumbs}>
        <Skeletons rows={10} />
      </Page>
    );
  }
  const nameOfDelivery = (endpointId: string, url: string | null | undefined) => {
    const endpoint = endpoints.get(endpointId);
    return endpoint ? nameOf(endpoint) : url ? shortUrl(url) : "Deleted endpoint";
  };
  const payload = message.payload;
  const canRetry = mayRetry && deliveries.length > 0 && !message.payload_expired;
  const retryMenu = (label?: string) => (
    <RetryMenu
      appId={appId}
      deliveries={deliveries}
      failed={failed}
      selected={selected}
      nameOf={(delivery) => nameOfDelivery(delivery.endpoint_id, delivery.endpoint_url)}
      isBusy={retrying.isPending}
      mayRecover={mayRecover}
      onRetry={retry}
      {...(label === undefined ? {} : { label })}
    />
  );
  return (
    <Page
      crumbs={crumbs}
      actions={
        <>
          {!isOperational && <PlaceInList id={id} />}
          {!isOperational && <LiveState />}
          {appId !== null && payload !== null && payload !== undefined && (
            <CopyButton value={curlOfMessage(location.origin, appId, message.event_type, payload)}>
              {({ copied, copy }) => (
                <Button
                  className={own.wide ?? ""}
                  leftSection={<IconTerminal2 size={15} stroke={1.8} />}
                  onClick={copy}
                >
                  {copied ? "Copied" : "Copy as curl"}
                </Button>
              )}
            </CopyButton>
          )}
          {canRetry && <span className={own.wide}>{retryMenu()}</span>}
        </>
      }
      foot={
        canRetry && (
          <div className={own.foot}>
            <Button
              variant="filled"
              loading={retrying.isPending}
              leftSection={<IconRotateClockwise size={16} stroke={1.8} />}
              onClick={() => retry({ kind: failed.length > 0 ? "failed" : "all" })}
            >
              {failed.length === 0
                ? "Retry"
                : failed.length === 1
                  ? "Retry the failed delivery"
                  : `Retry ${failed.length} failed deliveries`}
            </Button>
            {retryMenu("More")}
          </div>
        )
      }
    >
      <Title
        text={message.event_type}
        badge={<StatusBadge state={summaryState(message, deliveries)} isTinted />}
        facts={
          <>
            <IdCopy value={message.id} isFull />
            {message.event_id && (
              <span className="row">
                Event id <IdCopy value={message.event_id} isFull label="event id" />
              </span>
            )}
            {application && (
              <Link to="/dashboard/applications/$id" params={{ id: application.id }}>
                {application.name}
              </Link>
            )}
            <span>
              Accepted <RelativeTime value={message.created_at} />,{" "}
              {timeOfDay(new Date(message.created_at), true)}
            </span>
          </>
        }
      />
      <div className={classes["message-grid"]}>
        <div className="stack">
          <Why
            title={titleOfWhy(message.status, deliveries.length)}
            explanation={explanation}
            explained={explained}
            name={explained ? nameOfDelivery(explained.endpoint_id, explained.endpoint_url) : ""}
          />
          <Deliveries
            deliveries={deliveries}
            selected={selected?.endpoint_id}
            nameOf={nameOfDelivery}
            unmatched={unmatched}
            onSelect={(endpointId) => select({ delivery: endpointId })}
          />
          <Card title="Payload" aside={payload ? bytes(new Blob([payload]).size) : undefined}>
            {payload === null || payload === undefined ? (
              <EmptyState title="No payload">
                The payload was removed. This message cannot be sent again.
              </EmptyState>
            ) : (
              <CodeBlock text={payload} fileName={`${message.id}.json`} />
            )}
          </Card>
          <History
            steps={historyOf(message, deliveries, detail.data?.attempts ?? [], (endpointId) =>
              nameOfDelivery(
                endpointId,
                deliveries.find((one) => one.endpoint_id === endpointId)?.endpoint_url,
              ),
            )}
          />
        </div>
        <div className="stack">
          <Attempts
            title={selected ? nameOfDelivery(selected.endpoint_id, selected.endpoint_url) : ""}
            attempts={attempts}
            selected={attempt?.id}
            next={explained?.next_attempt ?? null}
            probeAt={probeOf(selected && endpoints.get(selected.endpoint_id))}
            onSelect={(attemptId) =>
              select({ ...(selected ? { delivery: selected.endpoint_id } : {}), attempt: attemptId })
            }
          />
          {attempt && <AttemptDetail key={attempt.id} attempt={attempt} kind={kind} />}
        </div>
      </div>
      <ConfirmDialog
        isOpen={asked !== null}
        onClose={() => setAsked(null)}
        title={asked?.kind === "all" ? "Retry all deliveries?" : "Retry the failed deliveries?"}
        verb={`Retry ${counted(asked?.kind === "all" ? deliveries.length : failed.length, "delivery", "deliveries")}`}
        act={() => (asked === null ? Promise.resolve() : retrying.mutateAsync(asked))}
      >
        {asked?.kind === "all"
          ? `${counted(deliveries.filter((one) => one.status === "succeeded").length, "endpoint")} got it already and will see it twice, with the same webhook-id.`
          : "What has arrived is left alone."}
      </ConfirmDialog>
    </Page>
  );
}

/** Returns when the circuit of an endpoint lets the next attempt through; null if it is closed. */
function probeOf(endpoint: Endpoint | undefined): string | null {
  return endpoint && endpoint.circuit_state !== "closed" ? (endpoint.held_until ?? null) : null;
}

function titleOfWhy(status: string, deliveries: number): string {
  if (status === "delivered") return "How it arrived";
  if (deliveries === 0) return "Why it was not sent";
  return deliveries === 1 ? "Why it has not arrived" : "Why it has not arrived everywhere";
}
