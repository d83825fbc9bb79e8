/** One application: its endpoints, latest messages and settings. */
import { Button, Menu } from "@mantine/core";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { IconDots, IconPlus, IconSend, IconWebhook } from "@tabler/icons-react";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { applicationQuery, deleteApplication, updateApplication } from "@/api/applications";
import { queryClient } from "@/api/client";
import { endpointsQuery, nameOf } from "@/api/endpoints";
import { hasStatus } from "@/api/errors";
import { messagesQuery } from "@/api/messages";
import { useMay } from "@/api/session";
import { CodeBlock } from "@/components/code/CodeBlock";
import { ConfirmDialog } from "@/components/feedback/ConfirmDialog";
import { EmptyState } from "@/components/feedback/EmptyState";
import { ErrorState } from "@/components/feedback/ErrorState";
import { Skeletons } from "@/components/feedback/Skeletons";
import { toast } from "@/components/feedback/toast";
import { Card, Facts } from "@/components/page/Card";
import { type Crumb, Page, Title } from "@/components/page/Page";
import { IdCopy } from "@/components/status/IdCopy";
import { endpointState, messageState, plainState } from "@/components/status/states";
import { StatusBadge } from "@/components/status/StatusBadge";
import { PlainTable } from "@/components/table/PlainTable";
import { RelativeTime } from "@/components/time/RelativeTime";
import { shortUrl } from "@/lib/words/ids";
import { listOf } from "@/lib/json/json";
import { counted } from "@/lib/words/numbers";
import { EndpointDrawer } from "../endpoint/EndpointDrawer";
import { SendDialog } from "../messages/SendDialog";
import classes from "../pages.module.css";
import { ApplicationDialog } from "./ApplicationDialog";

export function ApplicationPage() {
  const { id } = useParams({ from: "/dashboard/applications/$id" });
  const search = useSearch({ from: "/dashboard/applications/$id" });
  const navigate = useNavigate();
  const application = useQuery(applicationQuery(id));
  const endpoints = useQuery(endpointsQuery(id));
  const messages = useInfiniteQuery(messagesQuery({ application_id: [id] }));
  const mayEdit = useMay("applications:write");
  const mayAdd = useMay("endpoints:write");
  const maySend = useMay("messages:write");
  const [isDeleting, setDeleting] = useState(false);
  const open = (dialog?: string) =>
    void navigate({
      to: "/dashboard/applications/$id",
      params: { id },
      search: dialog ? { open: dialog } : {},
    });
  const name = application.data?.name ?? "Application";
  const crumbs: Crumb[] = [
    { label: "Applications", link: { to: "/dashboard/applications" } },
    { label: name },
  ];
  if (application.isError) {
    return (
      <Page crumbs={crumbs}>
        {hasStatus(application.error, 404) ? (
          <EmptyState title="There is no such application here">It may be in another environment.</EmptyState>
        ) : (
          <ErrorState
            what="The application"
            error={application.error}
            onRetry={() => void application.refetch()}
          />
        )}
      </Page>
    );
  }
  if (application.data === undefined) {
    return (
      <Page crumbs={crumbs}>
        <Skeletons rows={8} />
      </Page>
    );
  }
  const one = application.data;
  const turn = async (status: "active" | "disabled") => {
    await updateApplication(id, { status });
    await queryClient.invalidateQueries({ queryKey: ["applications"] });
  };
  return (
    <Page
      crumbs={crumbs}
      actions={
        <>
          {mayEdit && (
            <Menu>
              <Menu.Target>
                <Button aria-label="More acts" px={8}>
                  <IconDots size={16} />
                </Button>
              </Menu.Target>
              <Menu.Dropdown>
                <Menu.Item onClick={() => open("edit")}>Edit…</Menu.Item>
                <Menu.Item
                  onClick={() => {
                    const next = one.status === "active" ? "disabled" : "active";
                    void turn(next).then(() =>
                      toast(
                        `${one.name} is ${next}.`,
                        () => void turn(next === "active" ? "disabled" : "active"),
                      ),
                    );
                  }}
                >
                  {one.status === "active" ? "Disable" : "Enable"}
                </Menu.Item>
                <Menu.Divider />
                <Menu.Item color="red" onClick={() => setDeleting(true)}>
                  Delete…
                </Menu.Item>
              </Menu.Dropdown>
            </Menu>
          )}
          {maySend && (
            <Button leftSection={<IconSend size={15} stroke={1.8} />} onClick={() => open("send")}>
              Send message
            </Button>
          )}
          {mayAdd && (
            <Button variant="filled" leftSection={<IconPlus size={15} />} onClick={() => open("endpoint")}>
              Endpoint
            </Button>
          )}
        </>
      }
    >
      <Title
        text={one.name}
        badge={<StatusBadge state={plainState(one.status)} isTinted />}
        facts={
          <>
            <IdCopy value={one.id} isFull />
            {one.uid && (
              <span className="row">
                Uid <IdCopy value={one.uid} isFull label="uid" />
              </span>
            )}
            <span>
              Created <RelativeTime value={one.created_at} />
            </span>
          </>
        }
      />
      <Card title="Endpoints" aside={endpoints.data && counted(endpoints.data.endpoints.length, "endpoint")}>
        {endpoints.isError && (
          <ErrorState what="Endpoints" error={endpoints.error} onRetry={() => void endpoints.refetch()} />
        )}
        {endpoints.isPending && <Skeletons rows={2} />}
        {endpoints.data?.endpoints.length === 0 && (
          <EmptyState
            icon={IconWebhook}
            title="No endpoints yet"
            command={`hookstream endpoints create --help`}
          >
            An endpoint is the address that gets an application's webhooks.
          </EmptyState>
        )}
        {endpoints.data && endpoints.data.endpoints.length > 0 && (
          <PlainTable
            label="Endpoints"
            rows={endpoints.data.endpoints}
            idOf={(endpoint) => endpoint.id}
            columns={[
              {
                head: "Endpoint",
                cell: (endpoint) => (
                  <Link
                    to="/dashboard/endpoints/$appId/$id"
                    params={{ appId: id, id: endpoint.id }}
                    className="link-plain name"
                  >
                    {nameOf(endpoint)}
                  </Link>
                ),
              },
              {
                head: "Address",
                cell: (endpoint) => <code className="ink-2">{shortUrl(endpoint.url)}</code>,
              },
              { head: "Event types", cell: (endpoint) => listOf(endpoint.filter_types).join(", ") || "all" },
              {
                head: "Status",
                cell: (endpoint) => (
                  <StatusBadge
                    state={endpointState(endpoint)}
                    detail={endpoint.disabled_reason ?? undefined}
                  />
                ),
              },
            ]}
          />
        )}
      </Card>
      <div className={classes["grid-main"]}>
        <Card
          title="Latest messages"
          aside={
            <Link to="/dashboard/messages" search={{ application_id: id }}>
              All messages
            </Link>
          }
        >
          {messages.isError && (
            <ErrorState what="Messages" error={messages.error} onRetry={() => void messages.refetch()} />
          )}
          {messages.data && (
            <PlainTable
              label="Latest messages"
              rows={messages.data.pages[0]?.messages.slice(0, 10) ?? []}
              idOf={(message) => message.id}
              columns={[
                { head: "Status", cell: (message) => <StatusBadge state={messageState(message.status)} /> },
                {
                  head: "Event type",
                  cell: (message) => (
                    <Link
                      to="/dashboard/messages/$id"
                      params={{ id: message.id }}
                      className="link-plain name"
                    >
                      {message.event_type}
                    </Link>
                  ),
                },
                { head: "Message", cell: (message) => <IdCopy value={message.id} /> },
                {
                  head: "Accepted",
                  cell: (message) => <RelativeTime value={message.created_at} />,
                  isNumber: true,
                },
              ]}
            />
          )}
        </Card>
        <div className="stack">
          <Card title="Settings">
            <Facts
              facts={[
                ["Description", one.description],
                ["Rate limit", one.rate_limit ? `${one.rate_limit} a second` : "no limit"],
                ["Messages", one.message_count],
              ]}
            />
          </Card>
          {one.metadata && (
            <Card title="Metadata">
              <CodeBlock text={one.metadata} />
            </Card>
          )}
        </div>
      </div>
      <ApplicationDialog
        isOpen={search.open === "edit" && mayEdit}
        onClose={() => open()}
        application={one}
      />
      <SendDialog isOpen={search.open === "send" && maySend} onClose={() => open()} applicationId={id} />
      <EndpointDrawer isOpen={search.open === "endpoint" && mayAdd} onClose={() => open()} appId={id} />
      <ConfirmDialog
        isOpen={isDeleting}
        onClose={() => setDeleting(false)}
        title={`Delete ${one.name}?`}
        verb={`Delete with ${counted(one.endpoint_count ?? 0, "endpoint")}`}
        isDangerous
        nameToType={one.name}
        act={async () => {
          await deleteApplication(id);
          await navigate({ to: "/dashboard/applications" });
          await queryClient.invalidateQueries({ queryKey: ["applications"] });
        }}
      >
        Its endpoints go with it, and what waits for them is cancelled. This cannot be undone.
      </ConfirmDialog>
    </Page>
  );
}
