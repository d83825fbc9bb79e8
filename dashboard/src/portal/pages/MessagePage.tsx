/** One message: what happened at each endpoint, the attempts with request and answer, and the payload. */
import { Button, UnstyledButton } from "@mantine/core";
import { IconRefresh } from "@tabler/icons-react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import type { Schemas } from "@/api/client";
import { StatusBadge } from "@/components/status/StatusBadge";
import { useSeconds } from "@/components/time/ticker";
import { shortUrl } from "@/lib/words/ids";
import { endpointsQuery, exchangeQuery, explanationQuery, messageQuery, retryMessage } from "../api";
import { useMayChange } from "../capabilities";
import { useWords } from "../i18n";
import { Ago, Card, Code, Copy, Empty, ErrorText, LoadError, Loading } from "../parts";
import { hrefOf } from "../place";
import classes from "../portal.module.css";
import { deliveryState, messageState } from "../states";
import { errorWords, sentencesOf } from "../why";

export function MessagePage({ id }: { id: string }) {
  const { t } = useWords();
  const client = useQueryClient();
  const detail = useQuery(messageQuery(id));
  const explanation = useQuery(explanationQuery(id));
  const endpoints = useQuery(endpointsQuery);
  const mayChange = useMayChange();
  const [chosen, setChosen] = useState<string | null>(null);
  const retrying = useMutation({
    mutationFn: (body: Schemas["RetryMessage"]) => retryMessage(id, body),
    onSuccess: () => client.invalidateQueries({ queryKey: ["message", id] }),
  });
  if (!detail.data) {
    return detail.error ? (
      <LoadError error={detail.error} onRetry={() => void detail.refetch()} />
    ) : (
      <Loading rows={6} />
    );
  }
  const { message, attempts } = detail.data;
  const nameOf = (endpointId: string, url: string | null | undefined): string => {
    const known = endpoints.data?.find((one) => one.id === endpointId);
    return known?.description || shortUrl(known?.url ?? url ?? endpointId);
  };
  const selected = attempts.find((one) => one.id === chosen) ?? attempts[attempts.length - 1];
  const hasFailed = explanation.data?.endpoints.some((one) => one.matched && one.status !== "succeeded");
  const canRetry = mayChange && !message.payload_expired;
  return (
    <>
      <div className={classes.head}>
        <div className={classes.heading}>
          <nav className={`small ink-3 ${classes.crumbs}`}>
            <a href={hrefOf(["messages"])}>{t("messages")}</a>
            <span>{message.event_type}</span>
          </nav>
          <div className="row-wrap">
            <h1>{message.event_type}</h1>
            <StatusBadge state={messageState(message.status, t)} isTinted />
          </div>
          <span className="row small ink-2">
            <code>{message.id}</code>
            <Copy text={message.id} />
            <Ago value={message.created_at} />
          </span>
        </div>
        {canRetry && (
          <Button
            variant={hasFailed ? "filled" : "default"}
            leftSection={<IconRefresh size={15} />}
            loading={retrying.isPending}
            onClick={() => retrying.mutate(hasFailed ? { only: "failed" } : {})}
          >
            {hasFailed ? t("tryNow") : t("sendAgain")}
          </Button>
        )}
      </div>
      {retrying.data && (
        <div className={classes.banner} role="status">
          {retrying.data.retried ? t("onItsWay") : t("nobodyWants")}
        </div>
      )}
      <ErrorText error={retrying.error} />
      <Why explanation={explanation.data} nameOf={nameOf} />
      <Card title={t("attempts")}>
        {attempts.length === 0 && <Empty title={t("noAttempt")} />}
        {attempts.map((attempt) => (
          <Attempt
            key={attempt.id}
            attempt={attempt}
            endpoint={nameOf(attempt.endpoint_id, null)}
            isSelected={attempt.id === selected?.id}
            onSelect={() => setChosen(attempt.id)}
          />
        ))}
      </Card>
      {selected && <Exchange message={id} attempt={selected.id} number={selected.attempt_number} />}
      <Card title={t("payload")}>
        {message.payload === null || message.payload === undefined ? (
          <Empty title={t("payloadGone")} />
        ) : (
          <Code text={message.payload} />
        )}
      </Card>
    </>
  );
}

interface WhyProps {
  explanation: Schemas["Explanation"] | undefined;
  nameOf: (endpointId: string, url: string | null | undefined) => string;
}

function Why({ explanation, nameOf }: WhyProps) {
  const words = useWords();
  const now = useSeconds();
  const { t } = words;
  if (!explanation) return null;
  const matched = explanation.endpoints.filter((one) => one.matched);
  const others = explanation.endpoints.filter((one) => !one.matched);
  return (
    <Card title={t("why")}>
      {matched.length === 0 && (
        <p className={classes.padded}>{sentencesOf(explanation.statements, words, now).join(" ")}</p>
      )}
      {[...matched, ...others].map((one) => (
        <div key={one.endpoint_id} className={`${classes.row} ${classes.ofText}`}>
          <div className="stack-small">
            <span className="row-wrap">
              {one.matched && <StatusBadge state={deliveryState(one.status, one.attempts.length, t)} />}
              {one.endpoint_url === null || one.endpoint_url === undefined ? null : (
                <a href={hrefOf(["endpoints", one.endpoint_id])}>
                  {nameOf(one.endpoint_id, one.endpoint_url)}
                </a>
              )}
            </span>
            <p>{sentencesOf(one.statements, words, now).join(" ")}</p>
          </div>
        </div>
      ))}
    </Card>
  );
}

interface AttemptProps {
  attempt: Schemas["Attempt"];
  endpoint: string;
  isSelected: boolean;
  onSelect: () => void;
}

function Attempt({ attempt, endpoint, isSelected, onSelect }: AttemptProps) {
  const words = useWords();
  const { t, number } = words;
  const status = attempt.response_status;
  const state = {
    ...messageState(attempt.status === "success" ? "delivered" : "failed", t),
    word: status ? String(status) : t("noAnswer"),
  };
  return (
    <UnstyledButton
      className={`${classes.row} ${classes.ofAttempt}`}
      aria-pressed={isSelected}
      onClick={onSelect}
    >
      <strong className="number">{attempt.attempt_number}</strong>
      <StatusBadge state={state} />
      <span className="cut">
        {endpoint}
        {attempt.error && (
          <span className={`small ink-2 ${classes.beside}`}>{errorWords(attempt.error, words)}</span>
        )}
      </span>
      <span className={`number ${classes.end}`}>{t("took", { time: number(attempt.duration_ms) })}</span>
      <span className={`small ink-2 ${classes.end}`}>
        <Ago value={attempt.created_at} />
      </span>
    </UnstyledButton>
  );
}

function Exchange({ message, attempt, number }: { message: string; attempt: string; number: number }) {
  const { t } = useWords();
  const found = useQuery(exchangeQuery(message, attempt));
  if (!found.data)
    return found.error ? <LoadError error={found.error} onRetry={() => void found.refetch()} /> : <Loading />;
  const { request, response } = found.data;
  const title = (what: string) => (
    <>
      {what} <span className="small ink-3 regular">{t("attempt", { number })}</span>
    </>
  );
  const head =
    request &&
    [
      `${request.method} ${request.url}`,
      ...Object.entries(request.headers).map(([name, value]) => `${name}: ${value}`),
    ].join("\n");
  const answer =
    response &&
    [
      ...(response.status ? [String(response.status)] : []),
      ...response.headers.map(({ name, value }) => `${name}: ${value}`),
    ].join("\n");
  return (
    <div className={classes.halves}>
      <Card title={title(t("request"))}>
        {head ? <Code text={head} isJson={false} /> : <Empty title={t("notFound")} />}
        {request?.endpoint_changed_at && (
          <p className={`small ink-2 ${classes.padded}`}>{t("endpointChanged")}</p>
        )}
      </Card>
      <Card title={title(t("response"))}>
        {answer === null || answer === undefined ? (
          <Empty title={t("noAnswer")} />
        ) : (
          <>
            <Code text={answer} isJson={false} />
            {response?.body ? (
              <Code text={response.body} />
            ) : (
              <p className={`small ink-3 ${classes.padded}`}>{t("noBody")}</p>
            )}
          </>
        )}
      </Card>
    </div>
  );
}
