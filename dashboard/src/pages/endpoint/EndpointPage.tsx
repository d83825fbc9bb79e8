/** One endpoint: cause and remedy first, then figures, attempts, settings, signing and jobs. */
import { Button, Menu, Tabs } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import {
  IconDots,
  IconEdit,
  IconPlayerPause,
  IconPlayerPlay,
  IconRotateClockwise,
  IconSend,
} from "@tabler/icons-react";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { applicationQuery } from "@/api/applications";
import { queryClient } from "@/api/client";
import {
  deleteEndpoint,
  endpointQuery,
  nameOf,
  resetCircuit,
  sendTest,
  updateEndpoint,
} from "@/api/endpoints";
import { lanesQuery } from "@/api/engine";
import { hasStatus } from "@/api/errors";
import { useLive } from "@/api/live";
import { useMay } from "@/api/session";
import { Banner } from "@/components/feedback/Banner";
import { ConfirmDialog } from "@/components/feedback/ConfirmDialog";
import { EmptyState } from "@/components/feedback/EmptyState";
import { ErrorState } from "@/components/feedback/ErrorState";
import { Skeletons } from "@/components/feedback/Skeletons";
import { toast } from "@/components/feedback/toast";
import { Card, Figures } from "@/components/page/Card";
import { LiveState } from "@/components/page/LiveState";
import { type Crumb, Page, Title } from "@/components/page/Page";
import { IdCopy } from "@/components/status/IdCopy";
import { circuitState, endpointState } from "@/components/status/states";
import { StatusBadge } from "@/components/status/StatusBadge";
import { Countdown } from "@/components/time/Countdown";
import { RelativeTime } from "@/components/time/RelativeTime";
import { duration } from "@/lib/words/durations";
import { count, counted, perSecond } from "@/lib/words/numbers";
import { useKeys } from "@/shell/keys";
import classes from "../pages.module.css";
import { EndpointAttempts } from "./EndpointAttempts";
import { EndpointDrawer } from "./EndpointDrawer";
import { EndpointJobs } from "./EndpointJobs";
import { EndpointSettings } from "./EndpointSettings";
import { RecoverDialog } from "./RecoverDialog";
import { Signing } from "./Signing";

export function EndpointPage() {
  const path = useParams({ from: "/dashboard/endpoints/$appId/$id" });
  const search = useSearch({ from: "/dashboard/endpoints/$appId/$id" });
  const navigate = useNavigate();
  const endpoint = useQuery(endpointQuery(path));
  const { data: application } = useQuery(applicationQuery(path.appId));
  const lanes = useQuery(lanesQuery);
  useLive("endpoints", () => void Promise.all([endpoint.refetch(), lanes.refetch()]));
  const mayWrite = useMay("endpoints:write");
  const mayRecover = useMay("jobs:write");
  const [isDeleting, setDeleting] = useState(false);
  const [isPausing, setPausing] = useState(false);
  const refresh = () =>
    Promise.all([
      queryClient.invalidateQueries({ queryKey: ["endpoints"] }),
      queryClient.invalidateQueries({ queryKey: ["engine"] }),
    ]);
  const turn = async (status: "active" | "paused" | "disabled") => {
    await updateEndpoint(path, { status });
    await refresh();
  };
  const name = endpoint.data ? nameOf(endpoint.data) : "Endpoint";
  const turning = useMutation({
    mutationFn: turn,
    onError: (error) => toast(error.message),
  });
  const activate = () => turning.mutate("active", { onSuccess: () => toast(`${name} is active.`) });
  const probing = useMutation({
    mutationFn: () => resetCircuit(path),
    onError: (error) => toast(error.message),
    onSuccess: async () => {
      toast("The circuit is closed. Deliveries go one at a time at first.");
      await refresh();
    },
  });
  const testing = useMutation({
    mutationFn: () => sendTest(path, {}),
    onSuccess: (answer) => navigate({ to: "/dashboard/messages/$id", params: { id: answer.message.id } }),
    onError: (error) => toast(error.message),
  });
  const go = (next: Record<string, string>) =>
    void navigate({ to: "/dashboard/endpoints/$appId/$id", params: path, search: next });
  const tab = search.tab ?? "attempts";
  const base: Record<string, string> = search.tab ? { tab: search.tab } : {};
  useKeys(mayWrite ? [{ keys: "⇧E", label: "Edit", run: () => go({ ...base, edit: "1" }) }] : []);

  const crumbs: Crumb[] = [
    { label: "Endpoints", link: { to: "/dashboard/endpoints" } },
    {
      label: application?.name ?? "Application",
      link: { to: "/dashboard/applications/$id", params: { id: path.appId } },
    },
    { label: name },
  ];
  if (endpoint.isError) {
    return (
      <Page crumbs={crumbs}>
        {hasStatus(endpoint.error, 404) ? (
          <EmptyState title="There is no such endpoint here">
            It was deleted, or it is in another environment.
          </EmptyState>
        ) : (
          <ErrorState what="The endpoint" error={endpoint.error} onRetry={() => void endpoint.refetch()} />
        )}
      </Page>
    );
  }
  if (endpoint.data === undefined) {
    return (
      <Page crumbs={crumbs}>
        <Skeletons rows={8} />
      </Page>
    );
  }
  const one = endpoint.data;
  const lane = lanes.data?.lanes.find((other) => other.endpoint_id === one.id);
  const waiting = lane ? lane.queued + lane.in_store : 0;
  return (
    <Page
      crumbs={crumbs}
      actions={
        <>
          <LiveState />
          {mayWrite && (
            <>
              <Button
                leftSection={<IconSend size={15} stroke={1.8} />}
                loading={testing.isPending}
                onClick={() => testing.mutate()}
              >
                Send test
              </Button>
              {one.status === "active" ? (
                <Button
                  leftSection={<IconPlayerPause size={15} stroke={1.8} />}
                  onClick={() => setPausing(true)}
                >
                  Pause…
                </Button>
              ) : one.status === "paused" ? (
                <Button leftSection={<IconPlayerPlay size={15} stroke={1.8} />} onClick={() => activate()}>
                  Resume
                </Button>
              ) : null}
              <Button
                leftSection={<IconEdit size={15} stroke={1.8} />}
                onClick={() => go({ ...base, edit: "1" })}
              >
                Edit…
              </Button>
            </>
          )}
          {mayRecover && (
            <Button
              leftSection={<IconRotateClockwise size={15} stroke={1.8} />}
              onClick={() => go({ ...base, recover: "1" })}
            >
              Recover…
            </Button>
          )}
          {(mayWrite || mayRecover) && (
            <Menu>
              <Menu.Target>
                <Button aria-label="More acts" px={8}>
                  <IconDots size={16} />
                </Button>
              </Menu.Target>
              <Menu.Dropdown>
                {mayRecover && <Menu.Item onClick={() => go({ ...base, replay: "1" })}>Replay…</Menu.Item>}
                {mayWrite && (
                  <>
                    {one.status === "disabled" ? (
                      <Menu.Item onClick={() => activate()}>Enable</Menu.Item>
                    ) : (
                      <Menu.Item
                        onClick={() =>
                          turning.mutate("disabled", {
                            onSuccess: () => toast(`${name} is disabled.`, activate),
                          })
                        }
                      >
                        Disable
                      </Menu.Item>
                    )}
                    <Menu.Divider />
                    <Menu.Item color="red" onClick={() => setDeleting(true)}>
                      Delete…
                    </Menu.Item>
                  </>
                )}
              </Menu.Dropdown>
            </Menu>
          )}
        </>
      }
    >
      <Title
        text={name}
        badge={<StatusBadge state={endpointState(one)} isTinted detail={one.disabled_reason ?? undefined} />}
        facts={
          <>
            <IdCopy value={one.url} isFull label="address" />
            <IdCopy value={one.id} />
            {one.uid && <code>{one.uid}</code>}
          </>
        }
      />
      {one.status === "active" && one.circuit_state !== "closed" && (
        <Banner
          tone={one.circuit_state === "open" ? "bad" : "careful"}
          action={
            mayWrite && (
              <Button variant="filled" loading={probing.isPending} onClick={() => probing.mutate()}>
                Probe now
              </Button>
            )
          }
        >
          Attempts failed in a row, so nothing is sent for now. Nothing is lost:{" "}
          {counted(waiting, "delivery waits", "deliveries wait")} and go in order once a probe succeeds.
          {one.held_until && (
            <>
              {" "}
              Next probe <Countdown to={one.held_until} />.
            </>
          )}
        </Banner>
      )}
      {one.status === "active" &&
        one.circuit_state === "closed" &&
        one.hold_reason === "retry_after" &&
        one.held_until && (
          <Banner tone="careful">
            The receiver asked to wait (<code>Retry-After</code>). Next attempt{" "}
            <Countdown to={one.held_until} />.
          </Banner>
        )}
      {one.status === "disabled" && (
        <Banner
          tone="careful"
          action={
            mayWrite && (
              <Button
                variant="filled"
                onClick={() => turning.mutate("active", { onSuccess: () => go({ ...base, recover: "1" }) })}
              >
                Enable and recover…
              </Button>
            )
          }
        >
          The endpoint is disabled
          {one.disabled_reason ? (
            <>
              : <code>{one.disabled_reason}</code>
            </>
          ) : null}
          . Messages that it wants are kept as skipped and can be recovered.
        </Banner>
      )}
      {one.status === "paused" && (
        <Banner tone="plain">
          Paused: messages are kept and nothing is sent. They go in order when you resume.
        </Banner>
      )}
      <Card>
        <Figures
          figures={[
            {
              label: "Circuit",
              value: circuitState(one.circuit_state)
                .word.replace("Circuit ", "")
                .replace(/^./, (c) => c.toUpperCase()),
              isBad: one.circuit_state === "open",
              ...(one.held_until
                ? {
                    note: (
                      <>
                        next probe <Countdown to={one.held_until} />
                      </>
                    ),
                  }
                : {}),
            },
            {
              label: "Waiting",
              value: lane ? count(waiting) : "0",
              ...(lane?.oldest_due_at
                ? {
                    note: (
                      <>
                        oldest due <RelativeTime value={lane.oldest_due_at} />
                      </>
                    ),
                  }
                : {}),
            },
            {
              label: "In flight",
              value: count(lane?.in_flight ?? 0),
              ...(lane?.at_once ? { note: `at most ${lane.at_once} at once` } : {}),
            },
            ...(typeof lane?.per_second === "number"
              ? [{ label: "Answers", value: perSecond(lane.per_second) }]
              : []),
            ...(typeof lane?.drained_in_s === "number" && waiting > 0
              ? [{ label: "Drains in", value: duration(lane.drained_in_s * 1000) }]
              : []),
            {
              label: "Rate limit",
              value: one.rate_limit_per_second ? perSecond(one.rate_limit_per_second) : "no limit",
            },
          ]}
        />
      </Card>
      <Tabs
        value={tab}
        onChange={(value) => go(value && value !== "attempts" ? { tab: value } : {})}
        keepMounted={false}
      >
        <Tabs.List className={classes.tabs}>
          <Tabs.Tab value="attempts">Attempts</Tabs.Tab>
          <Tabs.Tab value="settings">Settings</Tabs.Tab>
          <Tabs.Tab value="signing">Signing</Tabs.Tab>
          <Tabs.Tab value="jobs">Jobs</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="attempts" pt={14}>
          <EndpointAttempts path={path} />
        </Tabs.Panel>
        <Tabs.Panel value="settings" pt={14}>
          <EndpointSettings endpoint={one} />
        </Tabs.Panel>
        <Tabs.Panel value="signing" pt={14}>
          <Signing path={path} endpoint={one} />
        </Tabs.Panel>
        <Tabs.Panel value="jobs" pt={14}>
          <EndpointJobs endpointId={one.id} />
        </Tabs.Panel>
      </Tabs>
      <EndpointDrawer
        isOpen={search.edit === "1" && mayWrite}
        onClose={() => go(base)}
        appId={path.appId}
        endpoint={one}
      />
      {(["recover", "replay"] as const).map((kind) => (
        <RecoverDialog
          key={kind}
          kind={kind}
          isOpen={search[kind] === "1" && mayRecover}
          onClose={() => go(base)}
          path={path}
          name={name}
          isCircuitOpen={one.circuit_state === "open"}
        />
      ))}
      <ConfirmDialog
        isOpen={isPausing}
        onClose={() => setPausing(false)}
        title={`Pause ${name}?`}
        verb="Pause"
        act={async () => {
          await turn("paused");
          toast(`${name} is paused.`, activate);
        }}
      >
        Messages are kept and nothing is sent. They go in order when you resume.
      </ConfirmDialog>
      <ConfirmDialog
        isOpen={isDeleting}
        onClose={() => setDeleting(false)}
        title={`Delete ${name}?`}
        verb={waiting > 0 ? `Delete and cancel ${count(waiting)}` : "Delete"}
        isDangerous
        nameToType={name}
        act={async () => {
          await deleteEndpoint(path);
          await navigate({ to: "/dashboard/applications/$id", params: { id: path.appId } });
          await refresh();
        }}
      >
        {counted(waiting, "waiting delivery is", "waiting deliveries are")} cancelled. Its attempts stay
        readable. This cannot be undone.
      </ConfirmDialog>
    </Page>
  );
}
