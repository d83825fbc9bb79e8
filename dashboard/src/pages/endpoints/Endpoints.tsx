/** Endpoints of all applications: those that need you first, then by what waits. */
import { Button } from "@mantine/core";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { IconWebhook } from "@tabler/icons-react";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useMemo } from "react";
import { allEndpointsQuery, nameOf, type OwnedEndpoint } from "@/api/endpoints";
import { type Lane, lanesQuery } from "@/api/engine";
import { eventTypesQuery, wants } from "@/api/event-types";
import { useLive } from "@/api/live";
import { EmptyState } from "@/components/feedback/EmptyState";
import { ErrorState } from "@/components/feedback/ErrorState";
import { FilterBar } from "@/components/filters/FilterBar";
import { LiveState } from "@/components/page/LiveState";
import { Page } from "@/components/page/Page";
import { endpointState } from "@/components/status/states";
import { StatusBadge } from "@/components/status/StatusBadge";
import { type Column, LiveTable } from "@/components/table/LiveTable";
import { RowKeys } from "@/components/table/RowKeys";
import { Countdown } from "@/components/time/Countdown";
import { type FilterField, formatFilters, parseFilters } from "@/lib/filters";
import { shortUrl } from "@/lib/words/ids";
import { listOf } from "@/lib/json/json";
import { count, counted, perSecond } from "@/lib/words/numbers";
import classes from "../pages.module.css";

interface Row extends OwnedEndpoint {
  lane: Lane | undefined;
}

const FIELDS: FilterField[] = [
  {
    name: "status",
    label: "Status",
    kind: "choice",
    several: true,
    choices: [
      { value: "Circuit open", label: "Circuit open" },
      { value: "Half open", label: "Half open" },
      { value: "Active", label: "Active" },
      { value: "Paused", label: "Paused" },
      { value: "Disabled", label: "Disabled" },
      { value: "Expired", label: "Expired" },
    ],
  },
];

export function Endpoints() {
  const navigate = useNavigate();
  const search = useSearch({ from: "/dashboard/endpoints" });
  const filters = parseFilters(search, FIELDS);
  const text = (search["search"] ?? "").toLowerCase();
  const list = useInfiniteQuery(allEndpointsQuery);
  const lanes = useQuery(lanesQuery);
  const { data: eventTypes } = useQuery(eventTypesQuery);
  useLive("endpoints", () => void Promise.all([lanes.refetch(), list.refetch()]));
  const rows = useMemo(() => {
    const byId = new Map(lanes.data?.lanes.map((lane) => [lane.endpoint_id, lane]));
    const all = list.data?.pages.flatMap((page) => page.endpoints) ?? [];
    return all
      .map((endpoint): Row => ({ ...endpoint, lane: byId.get(endpoint.id) }))
      .sort((a, b) => weight(b) - weight(a));
  }, [list.data, lanes.data]);
  const shown = rows.filter((row) => {
    const isWanted = filters["status"]?.includes(endpointState(row).word) ?? true;
    return (
      isWanted &&
      [nameOf(row), row.url, row.id, row.applicationName, row.uid ?? ""].some((value) =>
        value.toLowerCase().includes(text),
      )
    );
  });
  const go = (next: Record<string, string>) => void navigate({ to: "/dashboard/endpoints", search: next });
  return (
    <Page isFlush crumbs={[{ label: "Endpoints" }]} actions={<LiveState />}>
      <FilterBar
        fields={FIELDS}
        filters={filters}
        onChange={(next) => go({ ...formatFilters(next), ...(text ? { search: text } : {}) })}
        search={{
          value: search["search"] ?? "",
          placeholder: "Name, address or id",
          onSubmit: (next) => go({ ...formatFilters(filters), ...(next ? { search: next } : {}) }),
        }}
        aside="Those that need you first, then by what waits"
      />
      {list.isError ? (
        <ErrorState what="Endpoints" error={list.error} onRetry={() => void list.refetch()} />
      ) : (
        <LiveTable
          label="Endpoints"
          columns={columns(eventTypes?.map((type) => type.name))}
          rows={shown}
          rowHeight={54}
          idOf={(row) => row.id}
          hrefOf={(row) => `/dashboard/endpoints/${row.application_id}/${row.id}`}
          cardOf={(row) => (
            <>
              <span className={classes.between}>
                <span className="name cut">{nameOf(row)}</span>
                <StatusBadge state={endpointState(row)} />
              </span>
              <span className={classes.between}>
                <span className="small ink-2 cut">{row.applicationName}</span>
                <span className="small ink-3 number">{count(waiting(row))} waiting</span>
              </span>
            </>
          )}
          isLoading={list.isPending}
          onEnd={list.hasNextPage && !list.isFetchingNextPage ? () => void list.fetchNextPage() : undefined}
          empty={
            rows.length > 0 ? (
              <EmptyState
                icon={IconWebhook}
                title="No endpoint matches"
                actions={<Button onClick={() => go({})}>Clear all</Button>}
              />
            ) : (
              <EmptyState
                icon={IconWebhook}
                title="No endpoints yet"
                actions={
                  <Button component={Link} to="/dashboard/applications" variant="filled">
                    Go to Applications
                  </Button>
                }
              >
                An endpoint is the address that gets an application's webhooks. Open an application to add
                one.
              </EmptyState>
            )
          }
          footer={
            <>
              <RowKeys />
              <span>
                {counted(shown.length, "endpoint")} shown{list.hasNextPage ? ", more below" : ""}
              </span>
            </>
          }
        />
      )}
    </Page>
  );
}

function waiting(row: Row): number {
  return row.lane ? row.lane.queued + row.lane.in_store : 0;
}

/** Order of the list: open circuits, then half open, then what waits, then the newest. */
function weight(row: Row): number {
  const needs = { open: 2, half_open: 1, closed: 0 }[row.circuit_state];
  return (row.status === "active" ? needs : 0) * 1e9 + waiting(row);
}

function columns(eventTypes: string[] | undefined): Column<Row>[] {
  return [
    {
      id: "status",
      header: "Status",
      cell: ({ row }) => (
        <StatusBadge state={endpointState(row.original)} detail={row.original.disabled_reason ?? undefined} />
      ),
      meta: { width: "158px" },
    },
    {
      id: "endpoint",
      header: "Endpoint",
      cell: ({ row }) => (
        <div className="cut">
          <div className="cut">
            <span className="name">{nameOf(row.original)}</span>{" "}
            <span className="ink-3">{row.original.applicationName}</span>
          </div>
          <code className="ink-3">{shortUrl(row.original.url)}</code>
        </div>
      ),
    },
    {
      id: "hold",
      header: "Next attempt",
      cell: ({ row }) => (row.original.held_until ? <Countdown to={row.original.held_until} /> : null),
      meta: { width: "130px", from: 1024 },
    },
    {
      id: "flight",
      header: "In flight",
      cell: ({ row }) => count(row.original.lane?.in_flight ?? 0),
      meta: { isNumber: true, width: "84px", from: 1024 },
    },
    {
      id: "backlog",
      header: "Waiting",
      cell: ({ row }) => {
        const value = waiting(row.original);
        return <span className={value > 0 ? "name" : "ink-3"}>{count(value)}</span>;
      },
      meta: { isNumber: true, width: "92px" },
    },
    {
      id: "limit",
      header: "Limit",
      cell: ({ row }) =>
        row.original.rate_limit_per_second ? (
          perSecond(row.original.rate_limit_per_second)
        ) : (
          <span className="ink-3">no limit</span>
        ),
      meta: { isNumber: true, width: "88px", from: 1280 },
    },
    {
      id: "types",
      header: "Event types",
      cell: ({ row }) => typesOf(row.original, eventTypes),
      meta: { isNumber: true, width: "112px" },
    },
  ];
}

function typesOf(row: Row, eventTypes: string[] | undefined): string {
  const filter = listOf(row.filter_types);
  if (eventTypes === undefined) return filter.length === 0 ? "all" : "";
  if (filter.length === 0 || filter.includes("*")) return `all ${eventTypes.length}`;
  return `${eventTypes.filter((name) => wants(filter, name)).length} of ${eventTypes.length}`;
}
