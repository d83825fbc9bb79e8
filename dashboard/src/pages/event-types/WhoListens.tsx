/** Who listens to an event type: the endpoints that get it, and by which entry of their filter. */
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { IconWebhook } from "@tabler/icons-react";
import { allEndpointsQuery, nameOf } from "@/api/endpoints";
import { listenersOf } from "@/api/listeners";
import { EmptyState } from "@/components/feedback/EmptyState";
import { ErrorState } from "@/components/feedback/ErrorState";
import { Skeletons } from "@/components/feedback/Skeletons";
import { Card } from "@/components/page/Card";
import { endpointState } from "@/components/status/states";
import { StatusBadge } from "@/components/status/StatusBadge";
import { PlainTable } from "@/components/table/PlainTable";
import { count, counted } from "@/lib/words/numbers";
import classes from "../pages.module.css";

const SHOWN = 12;

export function WhoListens({ eventType }: { eventType: string }) {
  const all = useQuery(allEndpointsQuery);
  const listeners = listenersOf(all.data?.endpoints ?? [], eventType);
  const more = listeners.length - SHOWN;
  return (
    <Card
      title="Who listens"
      aside={all.data && `${count(listeners.length)} of ${counted(all.data.endpoints.length, "endpoint")}`}
    >
      {all.isError && <ErrorState what="Endpoints" error={all.error} onRetry={() => void all.refetch()} />}
      {all.isPending && <Skeletons rows={3} />}
      {all.isSuccess && listeners.length === 0 && (
        <EmptyState icon={IconWebhook} title="Nobody listens">
          Messages of this event type are skipped until an endpoint wants it: by its name, by a group such as{" "}
          <code>{eventType.replace(/\.[^.]*$/, "")}.*</code>, or by having no filter.
        </EmptyState>
      )}
      {listeners.length > 0 && (
        <PlainTable
          label="Who listens"
          rows={listeners.slice(0, SHOWN)}
          idOf={({ endpoint }) => endpoint.id}
          columns={[
            {
              head: "Endpoint",
              cell: ({ endpoint }) => (
                <>
                  <Link
                    to="/dashboard/endpoints/$appId/$id"
                    params={{ appId: endpoint.application_id, id: endpoint.id }}
                    className="link-plain name"
                  >
                    {nameOf(endpoint)}
                  </Link>{" "}
                  <span className="ink-3">{endpoint.application_name}</span>
                </>
              ),
            },
            {
              head: "Because its filter has",
              cell: ({ by }) =>
                by === null ? <span className="ink-2">no filter: it gets all</span> : <code>{by}</code>,
            },
            { head: "Status", cell: ({ endpoint }) => <StatusBadge state={endpointState(endpoint)} /> },
          ]}
        />
      )}
      {more > 0 && (
        <p className={classes.sum}>
          <Link to="/dashboard/endpoints" search={{ event_type: eventType }}>
            {count(more)} more
          </Link>
        </p>
      )}
    </Card>
  );
}
