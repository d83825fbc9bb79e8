/** Endpoints of all applications with their health: those that need you first, then by traffic. */
import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { IconWebhook } from "@tabler/icons-react";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { allEndpointsQuery } from "@/api/endpoints";
import { eventTypesQuery, wants } from "@/api/event-types";
import { useLive } from "@/api/live";
import { problemsQuery } from "@/api/problems";
import { EmptyState } from "@/components/feedback/EmptyState";
import { ErrorState } from "@/components/feedback/ErrorState";
import { FilterBar } from "@/components/filters/FilterBar";
import { Views } from "@/components/filters/Views";
import { LiveState } from "@/components/page/LiveState";
import { Page } from "@/components/page/Page";
import { LiveTable } from "@/components/table/LiveTable";
import { RowKeys } from "@/components/table/RowKeys";
import { type FilterField, formatFilters, parseFilters } from "@/lib/filters";
import { listOf } from "@/lib/json/json";
import { counted } from "@/lib/words/numbers";
import { SortAgain } from "@/components/table/SortAgain";
import { useStableOrder } from "@/components/table/stable-order";
import { useKeys } from "@/shell/keys";
import { columns, EndpointCard } from "./columns";
import { matches, type Row, rowsOf, VIEWS } from "./rows";

export function Endpoints() {
  const navigate = useNavigate();
  const search = useSearch({ from: "/dashboard/endpoints" });
  const list = useQuery(allEndpointsQuery);
  const problems = useQuery(problemsQuery);
  const { data: eventTypes } = useQuery(eventTypesQuery);
  const [focused, setFocused] = useState<Row | null>(null);
  useLive("endpoints", () => Promise.all([list.refetch(), problems.refetch()]));
  const sorted = useMemo(
    () => rowsOf(list.data?.endpoints ?? [], problems.data?.problems ?? []),
    [list.data, problems.data],
  );
  // Problems say which endpoints come first, so the order counts from when both are there.
  const isReady = list.isSuccess && !problems.isPending;
  const order = useStableOrder(sorted, (row) => row.id, String(isReady));
  const { rows } = order;
  const fields = useMemo(
    () => fieldsOf(rows, eventTypes?.map((type) => type.name) ?? []),
    [rows, eventTypes],
  );
  const filters = parseFilters(search, fields);
  const text = search.search ?? "";
  const view = VIEWS.find((one) => one.name === (search.view ?? "")) ?? VIEWS[0];
  const found = rows.filter(
    (row) =>
      matches(row, text) &&
      (filters["application_id"]?.includes(row.application_id) ?? true) &&
      (filters["event_type"]?.every((type) => wants(listOf(row.filter_types), type)) ?? true),
  );
  const shown = found.filter((row) => view?.has(row) ?? true);
  const applications = new Set(shown.map((row) => row.application_id)).size;
  const go = (next: typeof search) => void navigate({ to: "/dashboard/endpoints", search: next });
  const shownColumns = useMemo(() => columns(eventTypes?.map((type) => type.name)), [eventTypes]);
  useKeys([
    {
      keys: "e",
      label: "Explain the row",
      run: () =>
        focused &&
        void navigate({
          to: "/dashboard/endpoints/$appId/$id",
          params: { appId: focused.application_id, id: focused.id },
        }),
    },
    {
      keys: "c",
      label: "Copy the id of the row",
      run: () => focused && void navigator.clipboard.writeText(focused.id),
    },
  ]);
  return (
    <Page isFlush crumbs={[{ label: "Endpoints" }]} actions={<LiveState />}>
      <Views
        label="Views"
        views={VIEWS.map(({ name, label, has }) => ({
          name,
          label,
          count: list.data ? found.filter(has).length : undefined,
        }))}
        selected={view?.name ?? ""}
        onSelect={(name) => go({ ...search, view: name })}
        aside={
          <SortAgain isStale={order.isStale} onSort={order.sort}>
            Those that need you first, then by traffic
          </SortAgain>
        }
      />
      <FilterBar
        fields={fields}
        filters={filters}
        onChange={(next) => go({ ...formatFilters(next), view: search.view, search: search.search })}
        wordOf={(field, value) =>
          field === "application_id"
            ? rows.find((row) => row.application_id === value)?.application_name
            : undefined
        }
        search={{
          value: text,
          placeholder: "Name, address or id",
          onSubmit: (next) => go({ ...search, search: next }),
        }}
      />
      {list.isError ? (
        <ErrorState what="Endpoints" error={list.error} onRetry={() => void list.refetch()} />
      ) : (
        <LiveTable
          label="Endpoints"
          columns={shownColumns}
          rows={shown}
          rowHeight={54}
          idOf={(row) => row.id}
          hrefOf={(row) => `/dashboard/endpoints/${row.application_id}/${row.id}`}
          cardOf={(row) => <EndpointCard row={row} />}
          cardHeight={92}
          isLoading={list.isPending || problems.isPending}
          onFocusRow={setFocused}
          empty={<Nothing hasEndpoints={rows.length > 0} onClear={() => go({})} />}
          footer={
            <>
              <RowKeys more={[["e", "explain"]]} />
              <span>
                {counted(shown.length, "endpoint")} of {counted(applications, "application")}
                {list.data?.isPartial ? ", the newest of the environment" : ""}
              </span>
            </>
          }
        />
      )}
    </Page>
  );
}

function Nothing({ hasEndpoints, onClear }: { hasEndpoints: boolean; onClear: () => void }) {
  return hasEndpoints ? (
    <EmptyState
      icon={IconWebhook}
      title="No endpoint matches"
      actions={<Button onClick={onClear}>Clear all</Button>}
    />
  ) : (
    <EmptyState
      icon={IconWebhook}
      title="No endpoints yet"
      actions={
        <Button variant="filled" renderRoot={(props) => <Link {...props} to="/dashboard/applications" />}>
          Go to Applications
        </Button>
      }
    >
      An endpoint is the address that gets an application's webhooks. Open an application to add one, or give
      your customer the portal.
    </EmptyState>
  );
}

function fieldsOf(rows: Row[], eventTypes: string[]): FilterField[] {
  const applications = new Map(rows.map((row) => [row.application_id, row.application_name]));
  return [
    {
      name: "application_id",
      label: "Application",
      kind: "choice",
      choices: [...applications]
        .map(([value, label]) => ({ value, label }))
        .sort((one, other) => one.label.localeCompare(other.label)),
    },
    {
      name: "event_type",
      label: "Event type",
      operator: "includes",
      kind: "choice",
      choices: eventTypes.map((name) => ({ value: name, label: name })),
    },
  ];
}
