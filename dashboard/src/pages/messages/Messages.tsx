/** Messages of the environment: views, filters, a live list, and acts on one row or on a selection. */
import { Button, UnstyledButton } from "@mantine/core";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { IconArrowUp, IconPlus, IconRotateClockwise } from "@tabler/icons-react";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect, useMemo, useState } from "react";
import { applicationChoicesQuery, useApplicationNames } from "@/api/applications";
import { queryClient } from "@/api/client";
import { eventTypesQuery } from "@/api/event-types";
import { useLive, useLiveState } from "@/api/live";
import {
  type Message,
  messageCountsQuery,
  messagesQuery,
  newestMessagesQuery,
  retryMessage,
} from "@/api/messages";
import { useMay } from "@/api/session";
import { ErrorState } from "@/components/feedback/ErrorState";
import { Keys } from "@/components/feedback/Keys";
import { toast } from "@/components/feedback/toast";
import { FilterBar } from "@/components/filters/FilterBar";
import { LiveState } from "@/components/page/LiveState";
import { Page } from "@/components/page/Page";
import { LiveTable } from "@/components/table/LiveTable";
import { RowKeys } from "@/components/table/RowKeys";
import { formatFilters, parseFilters } from "@/lib/filters";
import { parseId, shortId } from "@/lib/words/ids";
import { useKeys } from "@/shell/keys";
import { columns, MessageCard } from "./columns";
import { reachSentence, retryAllLabel } from "./counts";
import { messageFields } from "./fields";
import { rememberList } from "./last-list";
import { freshWords, joined } from "./live-list";
import { MessageViews } from "./views/MessageViews";
import { NoMessages } from "./NoMessages";
import { SelectionBar } from "./SelectionBar";
import { RetryDialog } from "./retry/RetryDialog";
import { chosenWords } from "./retry/retry-filter";
import { SendDialog } from "./SendDialog";
import { SummaryLine } from "./SummaryLine";
import classes from "./Messages.module.css";

const A_SCREENFUL = 20;
/** Pages that are looked through without being asked to. */
const MAX_LOOKS = 40;
/** Messages in view that are pending are read again after this time. */
const READ_AGAIN_MS = 5000;

export function Messages() {
  const navigate = useNavigate();
  const search = useSearch({ from: "/dashboard/messages" });
  const { data: eventTypes = [] } = useQuery(eventTypesQuery);
  const { data: applications = [] } = useQuery(applicationChoicesQuery(""));
  const fields = useMemo(() => messageFields(eventTypes, applications), [eventTypes, applications]);
  const filters = useMemo(() => parseFilters(search, fields), [search, fields]);
  const list = useInfiniteQuery(messagesQuery(filters));
  const newest = useQuery({ ...newestMessagesQuery(filters), enabled: false });
  const { state } = useLiveState();
  const counts = useQuery(messageCountsQuery(filters)).data;
  const maySend = useMay("messages:write");
  const mayRetry = useMay("jobs:write");
  const [focused, setFocused] = useState<Message | null>(null);
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  useEffect(() => rememberList(formatFilters(filters)), [filters]);
  // More new messages than the list can follow are counted only, unless filters decide which of them belong to it.
  const [unread, setUnread] = useState(0);
  const isFiltered = Object.keys(filters).length > 0;
  useLive(
    "messages",
    async () => {
      setUnread(0);
      const { data } = await newest.refetch();
      const statuses = new Map(data?.messages.map((message) => [message.id, message.status]));
      // Rows in view that are pending may have moved on.
      await queryClient.invalidateQueries({
        queryKey: ["messages", "one"],
        predicate: ({ state: { data: detail, dataUpdatedAt } }) =>
          hasMovedOn(detail, dataUpdatedAt, statuses),
      });
    },
    (added) => {
      if (!isFiltered) setUnread((before) => before + added);
    },
  );

  const read = useMemo(() => list.data?.pages.flatMap((page) => page.messages) ?? [], [list.data]);
  const { rows, fresh: freshRows } = useMemo(
    () => joined(read, newest.data?.messages ?? []),
    [read, newest.data],
  );
  const fresh = freshRows + unread;
  const names = useApplicationNames(rows.slice(0, 300).map((message) => message.application_id));
  const shownColumns = useMemo(() => columns(names), [names]);
  const wordOf = (field: string, value: string) =>
    field === "application_id" ? names.get(value) : field === "endpoint_id" ? shortId(value) : undefined;
  const setFilters = (next: typeof filters) => {
    setSelected(new Set());
    void navigate({ to: "/dashboard/messages", search: formatFilters(next) });
  };
  const showFresh = () => {
    setUnread(0);
    void queryClient.resetQueries({ queryKey: messagesQuery(filters).queryKey });
  };
  // A list that is empty takes new rows at once.
  const isEmpty = list.isSuccess && rows.length === 0;
  if (isEmpty && (newest.data?.messages.length ?? 0) > 0 && newest.dataUpdatedAt > list.dataUpdatedAt)
    void queryClient.resetQueries({ queryKey: messagesQuery(filters).queryKey });
  // With a filter a page may be empty although another follows. A screenful is looked for, within a limit.
  const { hasNextPage, isFetchingNextPage, fetchNextPage } = list;
  const isLooking = hasNextPage && rows.length < A_SCREENFUL && (list.data?.pages.length ?? 0) < MAX_LOOKS;
  useEffect(() => {
    if (isLooking && !isFetchingNextPage) void fetchNextPage();
  }, [isLooking, isFetchingNextPage, fetchNextPage]);
  const open = (message: Message) =>
    void navigate({ to: "/dashboard/messages/$id", params: { id: message.id } });

  useKeys([
    { keys: "n", label: "Show the new rows", run: showFresh },
    {
      keys: "c",
      label: "Copy the id of the row",
      run: () => focused && void navigator.clipboard.writeText(focused.id),
    },
    { keys: "e", label: "Explain the row", run: () => focused && open(focused) },
    ...(maySend
      ? [
          {
            keys: "r",
            label: "Retry what failed of the row",
            run: () => focused && void retryFailed(focused),
          },
        ]
      : []),
  ]);

  const retryLabel = mayRetry && rows.length > 0 ? retryAllLabel(filters, counts) : null;
  const setRetrying = (isOpen: boolean) =>
    void navigate({ to: "/dashboard/messages", search: { ...search, retry: isOpen ? "1" : undefined } });
  const retry = retryLabel !== null && (
    <Button leftSection={<IconRotateClockwise size={15} stroke={1.8} />} onClick={() => setRetrying(true)}>
      {retryLabel}
    </Button>
  );
  const send = maySend && (
    <Button
      variant="filled"
      leftSection={<IconPlus size={15} />}
      onClick={() => void navigate({ to: "/dashboard/messages", search: { ...search, send: "1" } })}
    >
      Send message
    </Button>
  );
  return (
    <Page
      isFlush
      crumbs={[{ label: "Messages" }]}
      actions={
        <>
          <LiveState canPause />
          <span className="from-tablet">{send}</span>
        </>
      }
      foot={send}
    >
      <MessageViews filters={filters} onChange={setFilters} />
      <FilterBar
        fields={fields}
        filters={filters}
        onChange={setFilters}
        wordOf={wordOf}
        search={{
          value: search.search ?? "",
          placeholder: "Id or words of the payload",
          onSubmit: (text) => {
            const id = parseId(text);
            if (id !== null) void navigate({ to: "/dashboard/messages/$id", params: { id } });
            else setFilters({ ...filters, search: text === "" ? [] : [text] });
          },
        }}
      />
      <div className={classes.summary}>
        <SummaryLine
          filters={filters}
          counts={counts}
          shown={rows.length}
          hasMore={hasNextPage}
          isLooking={isLooking && rows.length === 0}
          tookMs={list.data?.pages[0]?.tookMs}
        />
        {fresh > 0 && state !== "paused" && (
          <UnstyledButton className={classes.pill} onClick={showFresh}>
            <IconArrowUp size={14} /> {freshWords(fresh)} <Keys keys="n" />
          </UnstyledButton>
        )}
        <span role="status" className="visually-hidden">
          {fresh > 0 ? freshWords(fresh) : ""}
        </span>
      </div>
      {search.search && list.data?.pages[0] && (
        <p className={classes.note}>{reachSentence(list.data.pages[0].search, new Date())}</p>
      )}
      {list.isError ? (
        <ErrorState what="Messages" error={list.error} onRetry={() => void list.refetch()} />
      ) : (
        <LiveTable
          label="Messages"
          columns={shownColumns}
          rows={rows}
          idOf={(message) => message.id}
          hrefOf={(message) => `/dashboard/messages/${message.id}`}
          signatureOf={(message) => message.status}
          cardOf={(message) => (
            <MessageCard message={message} application={names.get(message.application_id)} />
          )}
          isLoading={list.isPending}
          onFocusRow={setFocused}
          {...(maySend ? { selected, onSelect: setSelected } : {})}
          onEnd={list.hasNextPage && !list.isFetchingNextPage ? () => void list.fetchNextPage() : undefined}
          empty={
            <NoMessages
              fields={fields}
              filters={filters}
              isLooking={isLooking}
              withoutStatus={counts?.is_exact ? counts.total : 0}
              onMore={hasNextPage ? () => void fetchNextPage() : undefined}
              onChange={setFilters}
            />
          }
          footer={
            selected.size > 0 ? (
              <SelectionBar
                messages={rows.filter((message) => selected.has(message.id))}
                shown={rows.length}
                onAll={() => setSelected(new Set(rows.map((message) => message.id)))}
                onClear={() => setSelected(new Set())}
                matching={retry}
              />
            ) : (
              <>
                <RowKeys
                  more={[
                    ...(maySend ? ([["x", "select"]] as [string, string][]) : []),
                    ["e", "explain"],
                    ...(maySend ? ([["r", "retry"]] as [string, string][]) : []),
                    ["c", "copy id"],
                  ]}
                />
                {retry}
              </>
            )
          }
        />
      )}
      <RetryDialog
        isOpen={search.retry === "1" && mayRetry}
        onClose={() => setRetrying(false)}
        filters={filters}
        fields={fields}
        chosen={chosenWords(filters, fields, wordOf)}
      />
      <SendDialog
        isOpen={search.send === "1" && maySend}
        onClose={() => void navigate({ to: "/dashboard/messages", search: { ...search, send: undefined } })}
      />
    </Page>
  );
}

/** Returns whether what was read of a message may be old: it was pending, and has ended or was not read for a while. */
function hasMovedOn(detail: unknown, readAt: number, statuses: Map<string, Message["status"]>): boolean {
  const message = (detail as { message?: Message } | undefined)?.message;
  if (message?.status !== "pending") return false;
  return (statuses.get(message.id) ?? "pending") !== "pending" || Date.now() - readAt >= READ_AGAIN_MS;
}

async function retryFailed({ application_id: appId, id: msgId }: Message): Promise<void> {
  try {
    const answer = await retryMessage({ appId, msgId }, { kind: "failed" });
    toast(answer.retried ? "The failed deliveries are sent again." : "Nothing of it has failed.");
    await queryClient.invalidateQueries({ queryKey: ["messages", "one", msgId] });
  } catch (error) {
    toast(error instanceof Error ? error.message : "The request failed.");
  }
}
