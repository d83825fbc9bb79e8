/** Applications of the environment, newest first, with a search by name or uid. */
import { Button } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { IconApps, IconPlus } from "@tabler/icons-react";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { type Application, applicationsQuery } from "@/api/applications";
import { useMay } from "@/api/session";
import { EmptyState } from "@/components/feedback/EmptyState";
import { ErrorState } from "@/components/feedback/ErrorState";
import { FilterBar } from "@/components/filters/FilterBar";
import { Page } from "@/components/page/Page";
import { IdCopy } from "@/components/status/IdCopy";
import { plainState } from "@/components/status/states";
import { StatusBadge } from "@/components/status/StatusBadge";
import { type Column, LiveTable } from "@/components/table/LiveTable";
import { RowKeys } from "@/components/table/RowKeys";
import { RelativeTime } from "@/components/time/RelativeTime";
import { count, counted } from "@/lib/words/numbers";
import classes from "../pages.module.css";
import { ApplicationDialog } from "./ApplicationDialog";

export function Applications() {
  const navigate = useNavigate();
  const search = useSearch({ from: "/dashboard/applications" });
  const list = useInfiniteQuery(applicationsQuery(search.search ?? ""));
  const mayWrite = useMay("applications:write");
  const rows = list.data?.pages.flatMap((page) => page.applications) ?? [];
  const go = (next: typeof search) => void navigate({ to: "/dashboard/applications", search: next });
  const create = mayWrite && (
    <Button
      variant="filled"
      leftSection={<IconPlus size={15} />}
      onClick={() => go({ ...search, create: "1" })}
    >
      Application
    </Button>
  );
  return (
    <Page isFlush crumbs={[{ label: "Applications" }]} actions={create}>
      <FilterBar
        fields={[]}
        filters={{}}
        onChange={() => undefined}
        search={{
          value: search.search ?? "",
          placeholder: "Name or uid",
          onSubmit: (text) => go(text === "" ? {} : { search: text }),
        }}
      />
      {list.isError ? (
        <ErrorState what="Applications" error={list.error} onRetry={() => void list.refetch()} />
      ) : (
        <LiveTable
          label="Applications"
          columns={COLUMNS}
          rows={rows}
          idOf={(application) => application.id}
          hrefOf={(application) => `/dashboard/applications/${application.id}`}
          cardOf={(application) => (
            <>
              <span className={classes.between}>
                <span className="name cut">{application.name}</span>
                <StatusBadge state={plainState(application.status)} />
              </span>
              <span className="small ink-2">
                {counted(application.endpoint_count ?? 0, "endpoint")},{" "}
                {counted(application.message_count ?? 0, "message")}
              </span>
            </>
          )}
          isLoading={list.isPending}
          onEnd={list.hasNextPage && !list.isFetchingNextPage ? () => void list.fetchNextPage() : undefined}
          empty={
            search.search ? (
              <EmptyState
                icon={IconApps}
                title="No application matches"
                actions={<Button onClick={() => go({})}>Clear</Button>}
              />
            ) : (
              <EmptyState icon={IconApps} title="No applications yet" actions={create}>
                An application stands for one of your customers. Endpoints and messages belong to it.
              </EmptyState>
            )
          }
          footer={<RowKeys />}
        />
      )}
      <ApplicationDialog
        isOpen={search.create === "1" && mayWrite}
        onClose={() => go({ ...(search.search ? { search: search.search } : {}) })}
      />
    </Page>
  );
}

const COLUMNS: Column<Application>[] = [
  { id: "name", header: "Application", cell: ({ row }) => <span className="name">{row.original.name}</span> },
  {
    id: "status",
    header: "Status",
    cell: ({ row }) => <StatusBadge state={plainState(row.original.status)} />,
    meta: { width: "120px" },
  },
  {
    id: "uid",
    header: "Uid",
    cell: ({ row }) => <code className="ink-2">{row.original.uid ?? ""}</code>,
    meta: { from: 1024 },
  },
  { id: "id", header: "Id", cell: ({ row }) => <IdCopy value={row.original.id} />, meta: { width: "176px" } },
  {
    id: "endpoints",
    header: "Endpoints",
    cell: ({ row }) => count(row.original.endpoint_count ?? 0),
    meta: { isNumber: true, width: "100px" },
  },
  {
    id: "messages",
    header: "Messages",
    cell: ({ row }) => count(row.original.message_count ?? 0),
    meta: { isNumber: true, width: "110px" },
  },
  {
    id: "created",
    header: "Created",
    cell: ({ row }) => <RelativeTime value={row.original.created_at} />,
    meta: { isNumber: true, width: "150px", from: 1024 },
  },
];
