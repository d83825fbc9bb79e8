/** Catalogue of event types. */
import { Button } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { IconPlus, IconTags } from "@tabler/icons-react";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { Modal, TextInput } from "@mantine/core";
import { useMemo, useState } from "react";
import { queryClient } from "@/api/client";
import { allEndpointsQuery, type ListedEndpoint } from "@/api/endpoints";
import { listenersOf } from "@/api/listeners";
import { counted } from "@/lib/words/numbers";
import { createEventType, type EventType, eventTypesQuery } from "@/api/event-types";
import { useMay } from "@/api/session";
import { ActError, ErrorState } from "@/components/feedback/ErrorState";
import { EmptyState } from "@/components/feedback/EmptyState";
import { FilterBar } from "@/components/filters/FilterBar";
import { Page } from "@/components/page/Page";
import { plainState } from "@/components/status/states";
import { StatusBadge } from "@/components/status/StatusBadge";
import { type Column, LiveTable } from "@/components/table/LiveTable";
import { RowKeys } from "@/components/table/RowKeys";
import { RelativeTime } from "@/components/time/RelativeTime";
import classes from "../pages.module.css";

export function EventTypes() {
  const navigate = useNavigate();
  const search = useSearch({ from: "/dashboard/event-types" });
  const list = useQuery(eventTypesQuery);
  const { data: all } = useQuery(allEndpointsQuery);
  const shownColumns = useMemo(() => columnsOf(all?.endpoints), [all]);
  const mayWrite = useMay("event_types:write");
  const text = (search.search ?? "").toLowerCase();
  const rows =
    list.data?.filter((type) => `${type.name} ${type.description ?? ""}`.toLowerCase().includes(text)) ?? [];
  const go = (next: typeof search) => void navigate({ to: "/dashboard/event-types", search: next });
  const create = mayWrite && (
    <Button
      variant="filled"
      leftSection={<IconPlus size={15} />}
      onClick={() => go({ ...search, create: "1" })}
    >
      Event type
    </Button>
  );
  return (
    <Page
      isFlush
      crumbs={[{ label: "Event types" }]}
      actions={<span className="from-tablet">{create}</span>}
      foot={create}
    >
      <FilterBar
        fields={[]}
        filters={{}}
        onChange={() => undefined}
        search={{
          value: search.search ?? "",
          placeholder: "Name or description",
          onSubmit: (next) => go(next ? { search: next } : {}),
        }}
      />
      {list.isError ? (
        <ErrorState what="Event types" error={list.error} onRetry={() => void list.refetch()} />
      ) : (
        <LiveTable
          label="Event types"
          columns={shownColumns}
          rows={rows}
          idOf={(type) => type.id}
          hrefOf={(type) => `/dashboard/event-types/${type.id}`}
          cardOf={(type) => (
            <>
              <span className={classes.between}>
                <span className="name cut">{type.name}</span>
                <StatusBadge state={plainState(type.status)} />
              </span>
              <span className="small ink-2 cut">
                {type.description ?? (type.json_schema ? "with a schema" : "no schema")}
              </span>
            </>
          )}
          isLoading={list.isPending}
          empty={
            text ? (
              <EmptyState
                icon={IconTags}
                title="No event type matches"
                actions={<Button onClick={() => go({})}>Clear</Button>}
              />
            ) : (
              <EmptyState icon={IconTags} title="No event types yet" actions={create}>
                An event type names what happened, such as invoice.paid. With a schema, payloads are checked
                on acceptance.
              </EmptyState>
            )
          }
          footer={<RowKeys />}
        />
      )}
      <NewEventType
        isOpen={search.create === "1" && mayWrite}
        onClose={() => go(search.search ? { search: search.search } : {})}
      />
    </Page>
  );
}

function columnsOf(endpoints: ListedEndpoint[] | undefined): Column<EventType>[] {
  return [
    {
      id: "name",
      header: "Event type",
      cell: ({ row }) => <span className="name">{row.original.name}</span>,
    },
    {
      id: "status",
      header: "Status",
      cell: ({ row }) => <StatusBadge state={plainState(row.original.status)} />,
      meta: { width: "120px" },
    },
    {
      id: "description",
      header: "Description",
      cell: ({ row }) => <span className="ink-2">{row.original.description ?? ""}</span>,
    },
    {
      id: "listeners",
      header: "Listeners",
      cell: ({ row }) => {
        if (endpoints === undefined) return "";
        const number = listenersOf(endpoints, row.original.name).length;
        return number === 0 ? <span className="ink-3">nobody</span> : counted(number, "endpoint");
      },
      meta: { isNumber: true, width: "120px" },
    },
    {
      id: "schema",
      header: "Schema",
      cell: ({ row }) => (row.original.json_schema ? "checked" : <span className="ink-3">none</span>),
      meta: { width: "100px" },
    },
    {
      id: "updated",
      header: "Changed",
      cell: ({ row }) => <RelativeTime value={row.original.updated_at} />,
      meta: { isNumber: true, width: "150px", from: 1024 },
    },
  ];
}

function NewEventType({ isOpen, onClose }: { isOpen: boolean; onClose: () => void }) {
  const navigate = useNavigate();
  const [name, setName] = useState("");
  const [description, setDescription] = useState("");
  const making = useMutation({
    mutationFn: () => createEventType({ name, description: description || null }),
    onSuccess: async (answer) => {
      await queryClient.invalidateQueries({ queryKey: ["event-types"] });
      await navigate({ to: "/dashboard/event-types/$id", params: { id: answer.event_type.id } });
    },
  });
  return (
    <Modal opened={isOpen} onClose={onClose} title="Create an event type">
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          making.mutate();
        }}
      >
        <TextInput
          label="Name"
          placeholder="invoice.paid"
          required
          data-autofocus
          classNames={{ input: "mono" }}
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
        />
        <TextInput
          label="Description"
          value={description}
          onChange={(event) => setDescription(event.currentTarget.value)}
        />
        <ActError error={making.error} />
        <div className={classes.dialogActions}>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" variant="filled" loading={making.isPending}>
            Create event type
          </Button>
        </div>
      </form>
    </Modal>
  );
}
