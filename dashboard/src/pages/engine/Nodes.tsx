/** Nodes: the processes that share the database, and how much each has to do. */
import { useQuery } from "@tanstack/react-query";
import { IconServer2 } from "@tabler/icons-react";
import { nodesQuery } from "@/api/engine";
import { hasStatus } from "@/api/errors";
import { EmptyState } from "@/components/feedback/EmptyState";
import { ErrorState } from "@/components/feedback/ErrorState";
import { Skeletons } from "@/components/feedback/Skeletons";
import { Card } from "@/components/page/Card";
import { Page, Title } from "@/components/page/Page";
import { PlainTable } from "@/components/table/PlainTable";
import { StatusBadge } from "@/components/status/StatusBadge";
import { RelativeTime } from "@/components/time/RelativeTime";
import { duration } from "@/lib/words/durations";
import { count, counted } from "@/lib/words/numbers";
import { nodeState } from "./node-state";

export function Nodes() {
  const nodes = useQuery(nodesQuery);
  return (
    <Page crumbs={[{ label: "Nodes" }]}>
      <Title text={nodes.data ? counted(nodes.data.length, "node") : "Nodes"} />
      <Card>
        {nodes.isPending && <Skeletons rows={2} />}
        {nodes.isError &&
          (hasStatus(nodes.error, 403) ? (
            <EmptyState icon={IconServer2} title="Only the operator sees the nodes">
              Owners of the first organization, and API keys with the scope operator:nodes, may list them.
            </EmptyState>
          ) : (
            <ErrorState what="Nodes" error={nodes.error} onRetry={() => void nodes.refetch()} />
          ))}
        {nodes.data && (
          <PlainTable
            label="Nodes"
            rows={nodes.data}
            idOf={(node) => String(node.number)}
            columns={[
              { head: "Node", cell: (node) => <span className="name">{node.name}</span> },
              { head: "State", cell: (node) => <StatusBadge state={nodeState(node, new Date())} /> },
              { head: "Role", cell: (node) => node.role },
              { head: "Version", cell: (node) => <code>{node.version}</code> },
              { head: "Started", cell: (node) => <RelativeTime value={node.started_at} /> },
              { head: "Seen", cell: (node) => <RelativeTime value={node.renewed_at} /> },
              { head: "Queued", cell: (node) => count(node.queued), isNumber: true },
              { head: "In flight", cell: (node) => count(node.in_flight), isNumber: true },
              { head: "Lag", cell: (node) => duration(node.lag_ms), isNumber: true },
            ]}
          />
        )}
      </Card>
    </Page>
  );
}
