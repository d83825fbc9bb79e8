/** One endpoint, of an application or operational: cause and remedy first, then health, then the tabs. */
import { useQuery } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { deleteEndpoint, type EndpointPath, endpointQuery, healthQuery, nameOf } from "@/api/endpoints";
import { hasStatus } from "@/api/errors";
import { useLive } from "@/api/live";
import { OPERATIONAL_POLL_MS } from "@/api/operational";
import { problemsQuery } from "@/api/problems";
import { useMay } from "@/api/session";
import type { HealthBucket } from "@/components/data/health";
import { type EndpointSearch, messagesHref } from "@/components/data/links";
import { ConfirmDialog } from "@/components/feedback/ConfirmDialog";
import { EmptyState } from "@/components/feedback/EmptyState";
import { ErrorState } from "@/components/feedback/ErrorState";
import { Skeletons } from "@/components/feedback/Skeletons";
import { LiveState } from "@/components/page/LiveState";
import { type Crumb, Page, Title } from "@/components/page/Page";
import { IdCopy } from "@/components/status/IdCopy";
import { problemState } from "@/components/status/problem-words";
import { endpointState } from "@/components/status/states";
import { StatusBadge } from "@/components/status/StatusBadge";
import { count, counted } from "@/lib/words/numbers";
import { useKeys } from "@/shell/keys";
import { refreshEndpoints, useEndpointActs } from "./acts";
import { actOf, BannerAct } from "./BannerAct";
import { useChangedElsewhere } from "./changed-elsewhere";
import { CauseBanner } from "./CauseBanner";
import { EndpointActions } from "./EndpointActions";
import { EndpointTabs } from "./EndpointTabs";
import { EndpointDrawer } from "./form/EndpointDrawer";
import { HealthCard } from "./HealthCard";
import { RecoverDialog } from "./RecoverDialog";

interface Props {
  path: EndpointPath;
  search: EndpointSearch;
  go: (search: EndpointSearch) => void;
  /** Places above the endpoint. */
  crumbs: Crumb[];
  /** Link to what the endpoint belongs to, among the facts under the title. */
  owner?: ReactNode;
  /** Leaves the page of an endpoint that was deleted. */
  leave: () => Promise<unknown>;
}

export function EndpointView({ path, search, go, crumbs: above, owner, leave }: Props) {
  // The live stream tells of application endpoints alone.
  const polling = path.appId === null ? { refetchInterval: OPERATIONAL_POLL_MS } : {};
  const endpoint = useQuery({ ...endpointQuery(path), ...polling });
  const health = useQuery({ ...healthQuery(path), ...polling });
  const problems = useQuery(problemsQuery);
  useLive("endpoints", () => Promise.all([endpoint.refetch(), health.refetch(), problems.refetch()]));
  const mayWrite = useMay("endpoints:write");
  // Jobs recover what an application's endpoint missed. There is none for operational messages, which are few.
  const mayRecover = useMay("jobs:write") && path.appId !== null;
  const [isDeleting, setDeleting] = useState(false);
  const name = endpoint.data ? nameOf(endpoint.data) : "Endpoint";
  const acts = useEndpointActs(path, name);
  const base = search.tab ? { tab: search.tab } : {};
  const edit = () => go({ ...base, edit: "1" });
  const mayAudit = useMay("audit:read");
  useChangedElsewhere(
    endpoint.data,
    mayAudit ? { label: "Show changes", run: () => go({ tab: "activity" }) } : undefined,
  );
  useKeys(mayWrite ? [{ keys: "⇧E", label: "Edit", run: edit }] : []);

  const crumbs: Crumb[] = [...above, { label: name }];
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
  const owned = path.appId === null ? null : { appId: path.appId, id: path.id };
  return (
    <Page
      crumbs={crumbs}
      actions={
        <>
          {path.appId !== null && <LiveState />}
          <EndpointActions
            endpoint={one}
            mayWrite={mayWrite}
            mayRecover={mayRecover}
            maySend={mayWrite}
            missed={missed}
            isTesting={acts.isTesting}
            onTest={acts.test}
            onPause={acts.pause}
            onActivate={acts.activate}
            onDisable={acts.disable}
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
            {owner}
          </>
        }
      />
      <CauseBanner
        path={path}
        endpoint={one}
        health={health.data}
        problem={problem}
        action={
          <BannerAct
            act={actOf(one.status, one.circuit_state, problem?.remedy.action, mayWrite, mayRecover)}
            isBusy={acts.isBusy}
            missed={missed}
            onProbe={acts.probe}
            onEnable={() => acts.enable(() => go({ ...base, recover: "1" }))}
            onRecover={() => go({ ...base, recover: "1" })}
            onEdit={edit}
          />
        }
      />
      <HealthCard
        endpoint={one}
        health={health}
        {...(path.appId === null
          ? {}
          : { hrefOf: (bucket: HealthBucket) => messagesHref({ endpoint_id: one.id }, bucket) })}
      />
      <EndpointTabs
        path={path}
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
      {owned !== null &&
        (["recover", "replay"] as const).map((kind) => (
          <RecoverDialog
            key={kind}
            kind={kind}
            isOpen={search[kind] === "1" && mayRecover}
            onClose={() => go(base)}
            path={owned}
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
          await leave();
          await refreshEndpoints();
        }}
      >
        {counted(waiting, "waiting delivery is", "waiting deliveries are")} cancelled. Its attempts stay
        readable. This cannot be undone.
      </ConfirmDialog>
    </Page>
  );
}
