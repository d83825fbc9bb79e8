/** Nodes of the installation: role, lease, queues and lag. A lapsed node is bad. */
import { useQuery } from "@tanstack/react-query";
import { IconAlertTriangle, IconCircleDotFilled } from "@tabler/icons-react";
import { nodesQuery } from "@/api/engine";
import { useLive } from "@/api/live";
import { EmptyState } from "@/components/feedback/EmptyState";
import { ErrorState } from "@/components/feedback/ErrorState";
import { Skeletons } from "@/components/feedback/Skeletons";
import { Card } from "@/components/page/Card";
import { LiveState } from "@/components/page/LiveState";
import { Page, Title } from "@/components/page/Page";
import { StatusBadge } from "@/components/status/StatusBadge";
import { PlainTable } from "@/components/table/PlainTable";
import { RelativeTime } from "@/components/time/RelativeTime";
import { useSeconds } from "@/components/time/ticker";
import { duration } from "@/lib/durations";
import { count, counted } from "@/lib/numbers";

export function Nodes() {
  const nodes = useQuery(nodesQuery);
  const now = useSeconds();
  useLive("nodes", () => void nodes.refetch());
  const isLapsed = (lapses: string | null | undefined) =>
    Boolean(lapses) && Date.parse(lapses ?? "") < now.getTime();
  const lapsed = nodes.data?.filter((node) => isLapsed(node.lapses_at)).length ?? 0;
  return (
    <Page crumbs={[{ label: "Nodes" }]} actions={<LiveState />}>
      {nodes.data && (
        <Title
          text={
            lapsed > 0
              ? `${counted(lapsed, "node")} lapsed`
              : counted(nodes.data.length, "node runs", "nodes run")
          }
        />
      )}
      <Card>
        {nodes.isError && (
          <ErrorState what="Nodes" error={nodes.error} onRetry={() => void nodes.refetch()} />
        )}
        {nodes.isPending && <Skeletons rows={3} />}
        {nodes.data === null && (
          <EmptyState title="Your role does not see nodes">
            They concern the whole installation. An API key with the scope operator:nodes reads them.
          </EmptyState>
        )}
        {nodes.data && (
          <PlainTable
            label="Nodes"
            rows={nodes.data}
            idOf={(node) => String(node.number)}
            columns={[
              {
                head: "Node",
                cell: (node) => (
                  <StatusBadge
                    state={
                      isLapsed(node.lapses_at)
                        ? { word: `${node.name}, lapsed`, tone: "bad", icon: IconAlertTriangle }
                        : { word: node.name, tone: "good", icon: IconCircleDotFilled }
                    }
                  />
                ),
              },
              { head: "Role", cell: (node) => node.role },
              { head: "Version", cell: (node) => <code>{node.version}</code> },
              { head: "Queued", cell: (node) => count(node.queued), isNumber: true },
              { head: "In flight", cell: (node) => count(node.in_flight), isNumber: true },
              { head: "Lag", cell: (node) => duration(node.lag_ms), isNumber: true },
              { head: "Renewed", cell: (node) => <RelativeTime value={node.renewed_at} />, isNumber: true },
              { head: "Started", cell: (node) => <RelativeTime value={node.started_at} />, isNumber: true },
            ]}
          />
        )}
      </Card>
    </Page>
  );
}
