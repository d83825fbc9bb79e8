/** One application: its endpoints, latest messages and settings. */
import { Button, Menu } from "@mantine/core";
import { useMediaQuery } from "@mantine/hooks";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { IconDots, IconLayoutDashboard, IconPlus, IconSend } from "@tabler/icons-react";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { applicationQuery, deleteApplication, updateApplication } from "@/api/applications";
import { queryClient } from "@/api/client";
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
import { plainState } from "@/components/status/states";
import { StatusBadge } from "@/components/status/StatusBadge";
import { RelativeTime } from "@/components/time/RelativeTime";
import { useLive } from "@/api/live";
import { count, counted } from "@/lib/words/numbers";
import { MessageTable } from "../messages/MessageTable";
import { ApplicationEndpoints } from "./ApplicationEndpoints";
import { EndpointDrawer } from "../endpoint/form/EndpointDrawer";
import { SendDialog } from "../messages/SendDialog";
import classes from "../pages.module.css";
import { ApplicationDialog } from "./ApplicationDialog";
import { PortalDialog } from "./PortalDialog";

export function ApplicationPage() {
  const { id } = useParams({ from: "/dashboard/applications/$id" });
  const search = useSearch({ from: "/dashboard/applications/$id" });
  const navigate = useNavigate();
  const application = useQuery(applicationQuery(id));
  const messages = useInfiniteQuery(messagesQuery({ application_id: [id] }));
  useLive("messages", () => messages.refetch());
  const mayEdit = useMay("applications:write");
  const mayAdd = useMay("endpoints:write");
  const maySend = useMay("messages:write");
  const isPhone = useMediaQuery("(max-width: 767px)") ?? false;
  const mayOpenPortal = useMay("portal:write");
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
  const add = mayAdd && (
    <Button variant="filled" leftSection={<IconPlus size={15} />} onClick={() => open("endpoint")}>
      Endpoint
    </Button>
  );
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
                {isPhone && mayOpenPortal && <Menu.Item onClick={() => open("portal")}>Portal…</Menu.Item>}
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
          {mayOpenPortal && (
            <Button
              className="from-tablet"
              leftSection={<IconLayoutDashboard size={15} stroke={1.8} />}
              onClick={() => open("portal")}
            >
              Portal…
            </Button>
          )}
          {maySend && (
            <Button
              className="from-tablet"
              leftSection={<IconSend size={15} stroke={1.8} />}
              onClick={() => open("send")}
            >
              Send message
            </Button>
          )}
          <span className="from-tablet">{add}</span>
        </>
      }
      foot={add}
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
      <ApplicationEndpoints appId={id} uid={one.uid} />
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
          {messages.data?.pages[0]?.messages.length === 0 && (
            <EmptyState title="No messages yet">Your product sends the first one.</EmptyState>
          )}
          {(messages.data?.pages[0]?.messages.length ?? 0) > 0 && messages.data && (
            <MessageTable messages={messages.data.pages[0]?.messages.slice(0, 10) ?? []} />
          )}
        </Card>
        <div className="stack">
          <Card title="Settings">
            <Facts
              facts={[
                ["Description", one.description],
                ["Rate limit", one.rate_limit ? `${one.rate_limit} a second` : "no limit"],
                ["Messages", count(one.message_count ?? 0)],
                ["Endpoints", count(one.endpoint_count ?? 0)],
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
      <PortalDialog
        isOpen={search.open === "portal" && mayOpenPortal}
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
