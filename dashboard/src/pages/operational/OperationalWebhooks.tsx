/** Operational webhooks: the endpoints that are told what happens in the environment, and the latest events. */
import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { IconBroadcast, IconPlus } from "@tabler/icons-react";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { OPERATIONAL_POLL_MS, operationalEndpointsQuery } from "@/api/operational";
import { useMay } from "@/api/session";
import { EmptyState } from "@/components/feedback/EmptyState";
import { ErrorState } from "@/components/feedback/ErrorState";
import { Skeletons } from "@/components/feedback/Skeletons";
import { Card } from "@/components/page/Card";
import { Page, Title } from "@/components/page/Page";
import { counted } from "@/lib/words/numbers";
import { EndpointDrawer } from "../endpoint/form/EndpointDrawer";
import { OperationalMessages } from "../messages/OperationalMessages";
import { OperationalEndpoints } from "./OperationalEndpoints";

const FROM = "/dashboard/operational-webhooks";
const REFERENCE = "/docs/guide/reference/operational-webhooks";

export function OperationalWebhooks() {
  const search = useSearch({ from: FROM });
  const navigate = useNavigate();
  const mayWrite = useMay("endpoints:write");
  const endpoints = useQuery({ ...operationalEndpointsQuery, refetchInterval: OPERATIONAL_POLL_MS });
  const add = () => void navigate({ to: FROM, search: { create: "1" } });
  const isEmpty = endpoints.data?.length === 0;
  return (
    <Page
      crumbs={[{ label: "Operational webhooks" }]}
      actions={
        mayWrite &&
        !isEmpty && (
          <Button variant="filled" leftSection={<IconPlus size={15} stroke={1.8} />} onClick={add}>
            Add endpoint…
          </Button>
        )
      }
    >
      <Title
        text="Operational webhooks"
        facts={
          <>
            <span>Signed webhooks to your own systems about what happens in this environment.</span>
            <a href={REFERENCE}>Events and payloads</a>
          </>
        }
      />
      <Card
        title="Endpoints"
        aside={endpoints.data && !isEmpty && counted(endpoints.data.length, "endpoint")}
      >
        {endpoints.isError && (
          <ErrorState what="Endpoints" error={endpoints.error} onRetry={() => void endpoints.refetch()} />
        )}
        {endpoints.isPending && <Skeletons rows={3} />}
        {isEmpty && (
          <EmptyState
            icon={IconBroadcast}
            title="Hear of trouble before your customers do"
            actions={
              <>
                {mayWrite && (
                  <Button variant="filled" onClick={add}>
                    Add endpoint…
                  </Button>
                )}
                <Button component="a" href={REFERENCE}>
                  Read about the events
                </Button>
              </>
            }
          >
            An operational endpoint is told of disabled endpoints, deliveries that gave up, open circuits,
            finished jobs, quotas that run out and lost nodes. Point one at your chat, pager or support desk.
            {!mayWrite && " Your role reads them; a developer or an administrator adds them."}
          </EmptyState>
        )}
        {endpoints.data && !isEmpty && <OperationalEndpoints endpoints={endpoints.data} />}
      </Card>
      {endpoints.data && !isEmpty && <OperationalMessages />}
      <EndpointDrawer
        isOpen={search.create === "1" && mayWrite}
        onClose={() => void navigate({ to: FROM, search: {} })}
        appId={null}
      />
    </Page>
  );
}
