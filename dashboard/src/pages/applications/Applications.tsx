/** Applications of the environment, newest first, with a search by name or uid. */
import { Button } from "@mantine/core";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { IconApps, IconPlus } from "@tabler/icons-react";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useMemo } from "react";
import { applicationsQuery } from "@/api/applications";
import { allEndpointsQuery } from "@/api/endpoints";
import { useLive } from "@/api/live";
import { useMay } from "@/api/session";
import { EmptyState } from "@/components/feedback/EmptyState";
import { ErrorState } from "@/components/feedback/ErrorState";
import { FilterBar } from "@/components/filters/FilterBar";
import { Page } from "@/components/page/Page";
import { LiveTable } from "@/components/table/LiveTable";
import { RowKeys } from "@/components/table/RowKeys";
import { ApplicationDialog } from "./ApplicationDialog";
import { ApplicationCard, COLUMNS, type Row } from "./columns";
import { healthByApplication } from "./health";

export function Applications() {
  const navigate = useNavigate();
  const search = useSearch({ from: "/dashboard/applications" });
  const list = useInfiniteQuery(applicationsQuery(search.search ?? ""));
  const mayWrite = useMay("applications:write");
  const all = useQuery(allEndpointsQuery);
  useLive("endpoints", () => all.refetch());
  const rows = useMemo((): Row[] => {
    const healths = healthByApplication(all.data?.endpoints ?? []);
    const read = list.data?.pages.flatMap((page) => page.applications) ?? [];
    return read.map((one) => ({ ...one, health: healths.get(one.id) }));
  }, [list.data, all.data]);
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
    <Page
      isFlush
      crumbs={[{ label: "Applications" }]}
      actions={<span className="from-tablet">{create}</span>}
      foot={create}
    >
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
          cardOf={(row) => <ApplicationCard row={row} />}
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
