/** Messages of the customer, newest first. The filter stands in the address. */
import { Button, Select, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { StatusBadge } from "@/components/status/StatusBadge";
import { shortId, shortUrl } from "@/lib/words/ids";
import { endpointsQuery, eventTypesQuery, type MessageFilter, messagesQuery } from "../api";
import { type MessageKey, useWords } from "../i18n";
import { Ago, Card, Empty, LoadError, Loading, Pages } from "../parts";
import { goTo, hrefOf } from "../place";
import classes from "../portal.module.css";
import { messageState } from "../states";

const STATUSES: [NonNullable<MessageFilter["status"]>, MessageKey][] = [
  ["delivered", "arrived"],
  ["pending", "waiting"],
  ["failed", "gaveUp"],
  ["skipped", "notSent"],
];

/** Returns the filter of an address; values that are none are left out. */
export function filterOf(query: URLSearchParams): MessageFilter {
  const status = STATUSES.find(([known]) => known === query.get("status"))?.[0];
  const text = (name: string) => query.get(name) ?? undefined;
  const [type, endpoint, search] = [text("type"), text("endpoint"), text("search")];
  return {
    ...(status ? { status } : {}),
    ...(type ? { type } : {}),
    ...(endpoint ? { endpoint } : {}),
    ...(search ? { search } : {}),
  };
}

export function Messages({ query }: { query: URLSearchParams }) {
  const { t } = useWords();
  const filter = filterOf(query);
  const types = useQuery(eventTypesQuery);
  const endpoints = useQuery(endpointsQuery);
  const [search, setSearch] = useState(filter.search ?? "");
  const go = (change: MessageFilter) => goTo(hrefOf(["messages"], { ...filter, ...change }));
  const choice = (value: string | null) => value ?? undefined;
  return (
    <>
      <h1>{t("messages")}</h1>
      <form
        className={classes.filters}
        onSubmit={(event) => {
          event.preventDefault();
          go({ search: search.trim() });
        }}
      >
        <Select
          aria-label={t("filterStatus")}
          placeholder={t("filterStatus")}
          clearable
          allowDeselect
          data={STATUSES.map(([value, key]) => ({ value, label: t(key) }))}
          value={filter.status ?? null}
          onChange={(value) => go({ status: choice(value) as MessageFilter["status"] } as MessageFilter)}
        />
        <Select
          aria-label={t("filterType")}
          placeholder={t("filterType")}
          clearable
          allowDeselect
          searchable
          data={(types.data ?? []).map((type) => type.name)}
          value={filter.type ?? null}
          onChange={(value) => go({ type: value ?? "" })}
        />
        <Select
          aria-label={t("filterEndpoint")}
          placeholder={t("filterEndpoint")}
          clearable
          allowDeselect
          data={(endpoints.data ?? []).map((one) => ({
            value: one.id,
            label: one.description || shortUrl(one.url),
          }))}
          value={filter.endpoint ?? null}
          onChange={(value) => go({ endpoint: value ?? "" })}
        />
        <TextInput
          aria-label={t("searchHint")}
          placeholder={t("searchHint")}
          value={search}
          onChange={(event) => setSearch(event.currentTarget.value)}
        />
      </form>
      <MessageRows key={JSON.stringify(filter)} filter={filter} />
    </>
  );
}

export function MessageRows({ filter, title }: { filter: MessageFilter; title?: ReactNode }) {
  const { t } = useWords();
  const [cursors, setCursors] = useState<string[]>([]);
  const page = useQuery(messagesQuery(filter, cursors[cursors.length - 1]));
  const isFiltered = Boolean(filter.status ?? filter.type ?? filter.search);
  const messages = page.data?.messages ?? [];
  return (
    <Card {...(title === undefined ? {} : { title })}>
      {page.data ? (
        <>
          {messages.map((message) => (
            <a
              key={message.id}
              href={hrefOf(["messages", message.id])}
              className={`${classes.row} ${classes.ofMessage}`}
            >
              <StatusBadge state={messageState(message.status, t)} />
              <code className="cut">{message.event_type}</code>
              <code className="cut ink-3">{message.event_id ?? shortId(message.id)}</code>
              <span className={`small ink-2 ${classes.end}`}>
                <Ago value={message.created_at} />
              </span>
            </a>
          ))}
          {messages.length === 0 && !page.data.has_more && (
            <Empty
              title={isFiltered ? t("noMatch") : t("noMessages")}
              action={
                isFiltered && <Button onClick={() => goTo(hrefOf(["messages"]))}>{t("clearFilters")}</Button>
              }
            >
              {isFiltered ? undefined : t("noMessagesText")}
            </Empty>
          )}
          <Pages cursors={cursors} onChange={setCursors} page={page.data} />
        </>
      ) : page.error ? (
        <LoadError error={page.error} onRetry={() => void page.refetch()} />
      ) : (
        <Loading />
      )}
    </Card>
  );
}
