/** Messages of the environment: filters in the URL, new rows behind a count. */
import { Button, UnstyledButton } from "@mantine/core";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { IconArrowUp, IconMail, IconPlus } from "@tabler/icons-react";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { applicationChoicesQuery, useApplicationNames } from "@/api/applications";
import { queryClient } from "@/api/client";
import { eventTypesQuery } from "@/api/event-types";
import { useLive, useLiveState } from "@/api/live";
import { type Message, messagesQuery, newestMessagesQuery, retryMessage } from "@/api/messages";
import { useMay } from "@/api/session";
import { EmptyState } from "@/components/feedback/EmptyState";
import { ErrorState } from "@/components/feedback/ErrorState";
import { Keys } from "@/components/feedback/Keys";
import { toast } from "@/components/feedback/toast";
import { FilterBar } from "@/components/filters/FilterBar";
import { LiveState } from "@/components/page/LiveState";
import { Page } from "@/components/page/Page";
import { IdCopy } from "@/components/status/IdCopy";
import { messageState } from "@/components/status/states";
import { StatusBadge } from "@/components/status/StatusBadge";
import { type Column, LiveTable } from "@/components/table/LiveTable";
import { RowKeys } from "@/components/table/RowKeys";
import { RelativeTime } from "@/components/time/RelativeTime";
import { formatFilters, parseFilters } from "@/lib/filters";
import { parseId, shortId } from "@/lib/words/ids";
import { bytes, counted } from "@/lib/words/numbers";
import { useKeys } from "@/shell/keys";
import { messageFields } from "./fields";
import { freshWords, joined } from "./live-list";
import classes from "./Messages.module.css";
import { SendDialog } from "./SendDialog";

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
  useLive("messages", () => void newest.refetch());
  const maySend = useMay("messages:write");
  const [focused, setFocused] = useState<Message | null>(null);

  const read = useMemo(() => list.data?.pages.flatMap((page) => page.messages) ?? [], [list.data]);
  const { rows, fresh } = useMemo(() => joined(read, newest.data?.messages ?? []), [read, newest.data]);
  const names = useApplicationNames(rows.slice(0, 300).map((message) => message.application_id));
  const setFilters = (next: typeof filters) =>
    void navigate({ to: "/dashboard/messages", search: formatFilters(next) });
  const showFresh = () => void queryClient.resetQueries({ queryKey: messagesQuery(filters).queryKey });
  // A list that is empty takes new rows at once.
  const isEmpty = list.isSuccess && rows.length === 0;
  if (isEmpty && (newest.data?.messages.length ?? 0) > 0 && newest.dataUpdatedAt > list.dataUpdatedAt)
    showFresh();

  useKeys([
    { keys: "n", label: "Show the new rows", run: showFresh },
    {
      keys: "c",
      label: "Copy the id of the row",
      run: () => focused && void navigator.clipboard.writeText(focused.id),
    },
    {
      keys: "e",
      label: "Explain the row",
      run: () => focused && void navigate({ to: "/dashboard/messages/$id", params: { id: focused.id } }),
    },
    ...(maySend
      ? [
          {
            keys: "r",
            label: "Retry what failed of the row",
            run: () => {
              if (focused === null) return;
              const path = { appId: focused.application_id, msgId: focused.id };
              void retryMessage(path, { kind: "failed" }).then(
                (answer) =>
                  toast(
                    answer.retried ? "The failed deliveries are sent again." : "Nothing of it has failed.",
                  ),
                (error: Error) => toast(error.message),
              );
            },
          },
        ]
      : []),
  ]);

  return (
    <Page
      isFlush
      crumbs={[{ label: "Messages" }]}
      actions={
        <>
          <LiveState canPause />
          {maySend && (
            <Button
              variant="filled"
              leftSection={<IconPlus size={15} />}
              onClick={() => void navigate({ to: "/dashboard/messages", search: { ...search, send: "1" } })}
            >
              Send message
            </Button>
          )}
        </>
      }
    >
      <FilterBar
        fields={fields}
        filters={filters}
        onChange={setFilters}
        wordOf={(field, value) =>
          field === "application_id" ? names.get(value) : field === "endpoint_id" ? shortId(value) : undefined
        }
        search={{
          value: search["search"] ?? "",
          placeholder: "Message id or event id",
          onSubmit: (text) => {
            const id = parseId(text);
            if (id !== null) void navigate({ to: "/dashboard/messages/$id", params: { id: id } });
            else setFilters({ ...filters, search: text === "" ? [] : [text] });
          },
        }}
      />
      <div className={classes.summary}>
        <span>
          {list.isSuccess && rows.length > 0 && (
            <>
              {counted(rows.length, "message")} shown{list.hasNextPage ? ", more below" : ""}
            </>
          )}
        </span>
        {fresh > 0 && state !== "paused" && (
          <UnstyledButton className={classes.pill} onClick={showFresh}>
            <IconArrowUp size={14} /> {freshWords(fresh)} <Keys keys="n" />
          </UnstyledButton>
        )}
        <span role="status" className="visually-hidden">
          {fresh > 0 ? freshWords(fresh) : ""}
        </span>
      </div>
      {list.isError ? (
        <ErrorState what="Messages" error={list.error} onRetry={() => void list.refetch()} />
      ) : (
        <LiveTable
          label="Messages"
          columns={columns(names)}
          rows={rows}
          idOf={(message) => message.id}
          hrefOf={(message) => `/dashboard/messages/${message.id}`}
          cardOf={(message) => (
            <MessageCard message={message} application={names.get(message.application_id)} />
          )}
          isLoading={list.isPending}
          onFocusRow={setFocused}
          onEnd={list.hasNextPage && !list.isFetchingNextPage ? () => void list.fetchNextPage() : undefined}
          empty={
            <NoMessages
              hasFilters={Object.keys(filters).length > 0}
              hasMore={list.hasNextPage}
              onClear={() => setFilters({})}
            />
          }
          footer={
            <RowKeys
              more={[
                ["e", "explain"],
                ...(maySend ? ([["r", "retry"]] as [string, string][]) : []),
                ["c", "copy id"],
              ]}
            />
          }
        />
      )}
      <SendDialog
        isOpen={search["send"] === "1" && maySend}
        onClose={() => void navigate({ to: "/dashboard/messages", search: { ...search, send: undefined } })}
      />
    </Page>
  );
}

function columns(names: Map<string, string>): Column<Message>[] {
  return [
    {
      id: "status",
      header: "Status",
      cell: ({ row }) => <StatusBadge state={messageState(row.original.status)} />,
      meta: { width: "140px" },
    },
    {
      id: "type",
      header: "Event type",
      cell: ({ row }) => <span className="name">{row.original.event_type}</span>,
    },
    {
      id: "id",
      header: "Message",
      cell: ({ row }) => <IdCopy value={row.original.id} />,
      meta: { width: "176px" },
    },
    {
      id: "application",
      header: "Application",
      cell: ({ row }) => names.get(row.original.application_id) ?? "",
    },
    {
      id: "event",
      header: "Event id",
      cell: ({ row }) => <code className="ink-2">{row.original.event_id ?? ""}</code>,
      meta: { from: 1280 },
    },
    {
      id: "size",
      header: "Payload",
      cell: ({ row }) =>
        row.original.payload_expired ? (
          <span className="ink-3">removed</span>
        ) : (
          bytes(new Blob([row.original.payload ?? ""]).size)
        ),
      meta: { isNumber: true, width: "96px", from: 1024 },
    },
    {
      id: "accepted",
      header: "Accepted",
      cell: ({ row }) => <RelativeTime value={row.original.created_at} />,
      meta: { isNumber: true, width: "150px" },
    },
  ];
}

function MessageCard({ message, application }: { message: Message; application: string | undefined }) {
  return (
    <>
      <span className={classes.cardLine}>
        <span className="name cut">{message.event_type}</span>
        <StatusBadge state={messageState(message.status)} />
      </span>
      <span className={classes.cardLine}>
        <span className="small ink-2 cut">{application ?? shortId(message.id)}</span>
        <span className="small ink-3">
          <RelativeTime value={message.created_at} />
        </span>
      </span>
    </>
  );
}

function NoMessages({
  hasFilters,
  hasMore,
  onClear,
}: {
  hasFilters: boolean;
  hasMore: boolean;
  onClear: () => void;
}) {
  if (hasFilters) {
    return (
      <EmptyState
        icon={IconMail}
        title="No message matches"
        actions={<Button onClick={onClear}>Clear all</Button>}
      >
        {hasMore ? "Older messages are still being looked through." : "Remove a filter to see more."}
      </EmptyState>
    );
  }
  return (
    <EmptyState
      icon={IconMail}
      title="No messages yet"
      command={`hookstream send --app acme --type invoice.paid --data '{"invoice_id":42}'`}
    >
      Your product sends the first one.
    </EmptyState>
  );
}
