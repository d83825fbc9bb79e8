/** One endpoint: cause and remedy first, then health, attempts, messages, settings, signing, jobs and activity. */
import { Button } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { applicationQuery } from "@/api/applications";
import { queryClient } from "@/api/client";
import {
  deleteEndpoint,
  endpointQuery,
  healthQuery,
  nameOf,
  resetCircuit,
  sendTest,
  updateEndpoint,
} from "@/api/endpoints";
import { hasStatus } from "@/api/errors";
import { useLive } from "@/api/live";
import { problemsQuery } from "@/api/problems";
import { useMay } from "@/api/session";
import { ConfirmDialog } from "@/components/feedback/ConfirmDialog";
import { EmptyState } from "@/components/feedback/EmptyState";
import { ErrorState } from "@/components/feedback/ErrorState";
import { Skeletons } from "@/components/feedback/Skeletons";
import { toast } from "@/components/feedback/toast";
import { LiveState } from "@/components/page/LiveState";
import { type Crumb, Page, Title } from "@/components/page/Page";
import { IdCopy } from "@/components/status/IdCopy";
import { problemState } from "@/components/status/problem-words";
import { endpointState } from "@/components/status/states";
import { StatusBadge } from "@/components/status/StatusBadge";
import { count, counted } from "@/lib/words/numbers";
import { useKeys } from "@/shell/keys";
import { useChangedElsewhere } from "./changed-elsewhere";
import { CauseBanner } from "./CauseBanner";
import { EndpointActions } from "./EndpointActions";
import { EndpointDrawer } from "./EndpointDrawer";
import { EndpointTabs } from "./EndpointTabs";
import { HealthCard } from "./HealthCard";
import { RecoverDialog } from "./RecoverDialog";

const FROM = "/dashboard/endpoints/$appId/$id";

export function EndpointPage() {
  const path = useParams({ from: FROM });
  const search = useSearch({ from: FROM });
  const navigate = useNavigate();
  const endpoint = useQuery(endpointQuery(path));
  const health = useQuery(healthQuery(path));
  const problems = useQuery(problemsQuery);
  const { data: application } = useQuery(applicationQuery(path.appId));
  useLive("endpoints", () => Promise.all([endpoint.refetch(), health.refetch(), problems.refetch()]));
  const mayWrite = useMay("endpoints:write");
  const mayRecover = useMay("jobs:write");
  const [isDeleting, setDeleting] = useState(false);
  const refresh = () =>
    Promise.all(
      ["endpoints", "engine", "problems"].map((name) => queryClient.invalidateQueries({ queryKey: [name] })),
    );
  const name = endpoint.data ? nameOf(endpoint.data) : "Endpoint";
  const failed = (error: Error) => toast(error.message);
  const turning = useMutation({
    mutationFn: (status: "active" | "paused" | "disabled") => updateEndpoint(path, { status }),
    onSuccess: refresh,
    onError: failed,
  });
  const activate = () => turning.mutate("active", { onSuccess: () => toast(`${name} is active.`) });
  const pause = () => turning.mutate("paused", { onSuccess: () => toast(`${name} is paused.`, activate) });
  const disable = () =>
    turning.mutate("disabled", { onSuccess: () => toast(`${name} is disabled.`, activate) });
  const probing = useMutation({
    mutationFn: () => resetCircuit(path),
    onError: failed,
    onSuccess: async () => {
      toast("The circuit is closed. Deliveries go one at a time at first.");
      await refresh();
    },
  });
  const testing = useMutation({
    mutationFn: () => sendTest(path, {}),
    onSuccess: (answer) =>
      navigate({
        to: "/dashboard/messages/$id",
        params: { id: answer.message.id },
        search: { delivery: path.id },
      }),
    onError: failed,
  });
  const go = (next: typeof search) => void navigate({ to: FROM, params: path, search: next });
  const base = search.tab ? { tab: search.tab } : {};
  const edit = () => go({ ...base, edit: "1" });
  const mayAudit = useMay("audit:read");
  useChangedElsewhere(
    endpoint.data,
    mayAudit ? { label: "Show changes", run: () => go({ tab: "activity" }) } : undefined,
  );
  useKeys(mayWrite ? [{ keys: "⇧E", label: "Edit", run: edit }] : []);

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
  const problem = problems.data?.problems.find((other) => other.subject.id === one.id);
  const own = endpointState(one);
  const state = problem && own.word === "Active" ? problemState(problem) : own;
  const waiting = health.data?.backlog.pending ?? 0;
  const missed = health.data?.ended ?? 0;
  return (
    <Page
      crumbs={crumbs}
      actions={
        <>
          <LiveState />
          <EndpointActions
            endpoint={one}
            mayWrite={mayWrite}
            mayRecover={mayRecover}
            maySend={mayWrite}
            missed={missed}
            isTesting={testing.isPending}
            onTest={() => testing.mutate()}
            onPause={pause}
            onActivate={activate}
            onDisable={disable}
            onDelete={() => setDeleting(true)}
            onOpen={(dialog) => go({ ...base, [dialog]: "1" })}
          />
        </>
      }
    >
      <Title
        text={name}
        badge={<StatusBadge state={state} isTinted detail={problem?.cause.sentence} />}
        facts={
          <>
            <IdCopy value={one.url} isFull label="address" />
            <IdCopy value={one.id} />
            {one.uid && <IdCopy value={one.uid} isFull label="uid" />}
            {application && (
              <Link to="/dashboard/applications/$id" params={{ id: path.appId }}>
                {application.name}
              </Link>
            )}
          </>
        }
      />
      <CauseBanner
        endpoint={one}
        health={health.data}
        problem={problem}
        action={
          <BannerAct
            act={actOf(one.status, one.circuit_state, problem?.remedy.action, mayWrite, mayRecover)}
            isBusy={probing.isPending || turning.isPending}
            missed={missed}
            onProbe={() => probing.mutate()}
            onEnable={() => turning.mutate("active", { onSuccess: () => go({ ...base, recover: "1" }) })}
            onRecover={() => go({ ...base, recover: "1" })}
            onEdit={edit}
          />
        }
      />
      <HealthCard endpoint={one} health={health} />
      <EndpointTabs
        endpoint={one}
        tab={search.tab ?? "attempts"}
        onTab={(tab) => go(tab === "attempts" ? {} : { tab })}
        onEdit={mayWrite ? edit : undefined}
      />
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
          endpoint={one}
          health={health.data}
        />
      ))}
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

type Act = "probe" | "enable" | "recover" | "edit" | null;

/** Returns the one act that helps, as far as the user may do it. */
function actOf(
  status: string,
  circuit: string,
  remedy: string | undefined,
  mayWrite: boolean,
  mayRecover: boolean,
): Act {
  if (status === "disabled") return mayWrite && mayRecover ? "enable" : null;
  if (status !== "active") return null;
  if (circuit !== "closed") return mayWrite ? "probe" : null;
  if (remedy === "recover") return mayRecover ? "recover" : null;
  return remedy === "raise_limit" && mayWrite ? "edit" : null;
}

interface ActProps {
  act: Act;
  isBusy: boolean;
  missed: number;
  onProbe: () => void;
  onEnable: () => void;
  onRecover: () => void;
  onEdit: () => void;
}

function BannerAct({ act, isBusy, missed, onProbe, onEnable, onRecover, onEdit }: ActProps) {
  switch (act) {
    case "probe":
      return (
        <Button
          variant="filled"
          loading={isBusy}
          title="Closes the circuit and sends again, one at a time at first. It opens again if that fails."
          onClick={onProbe}
        >
          Probe now
        </Button>
      );
    case "enable":
      return (
        <Button variant="filled" loading={isBusy} onClick={onEnable}>
          Enable and recover…
        </Button>
      );
    case "recover":
      return (
        <Button variant="filled" onClick={onRecover}>
          Recover {count(missed)}…
        </Button>
      );
    case "edit":
      return (
        <Button variant="filled" onClick={onEdit}>
          Raise limit…
        </Button>
      );
    case null:
      return null;
  }
}
