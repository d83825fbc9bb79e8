/** The one act that helps with a problem. What the user may not do is absent. */
import { Button, CopyButton } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { queryClient } from "@/api/client";
import { resetCircuit, updateEndpoint } from "@/api/endpoints";
import type { Problem } from "@/api/problems";
import { useRole } from "@/api/session";
import { toast } from "@/components/feedback/toast";
import { noteForCustomer } from "@/components/status/problem-words";
import { may, type Permission } from "@/lib/permissions";
import { count } from "@/lib/words/numbers";

/** Authority that a remedy needs. A remedy without an entry needs none. */
const NEEDS: Record<string, Permission | undefined> = {
  probe_now: "endpoints:write",
  raise_limit: "endpoints:write",
  enable_and_recover: "endpoints:write",
  recover: "jobs:write",
  change_retention: "environments:write",
};

const KNOWN = [
  "probe_now",
  "notify_customer",
  "raise_limit",
  "recover",
  "enable_and_recover",
  "change_retention",
  "raise_quota",
];

/** Returns whether the page has an act for the problem that the user may do. */
export function useHasRemedy(): (problem: Problem) => boolean {
  const role = useRole();
  return ({ remedy }) => {
    const needed = NEEDS[remedy.action];
    return KNOWN.includes(remedy.action) && (needed === undefined || may(role, needed));
  };
}

export function Remedy({ problem, isFirst }: { problem: Problem; isFirst: boolean }) {
  const navigate = useNavigate();
  const path = { appId: problem.subject.application_id ?? "", id: problem.subject.id ?? "" };
  const refresh = () =>
    Promise.all(
      ["problems", "endpoints", "engine"].map((name) => queryClient.invalidateQueries({ queryKey: [name] })),
    );
  const probing = useMutation({
    mutationFn: () => resetCircuit(path),
    onError: (error) => toast(error.message),
    onSuccess: async () => {
      toast("The circuit is closed. Deliveries go one at a time at first.");
      await refresh();
    },
  });
  const enabling = useMutation({
    mutationFn: () => updateEndpoint(path, { status: "active" }),
    onError: (error) => toast(error.message),
    onSuccess: async () => {
      await refresh();
      await navigate({ to: "/dashboard/endpoints/$appId/$id", params: path, search: { recover: "1" } });
    },
  });
  const look = isFirst ? { variant: "filled" as const } : {};
  switch (problem.remedy.action) {
    case "probe_now":
      return (
        <Button
          {...look}
          loading={probing.isPending}
          title="Closes the circuit and sends again, one at a time at first. It opens again if that fails."
          onClick={() => probing.mutate()}
        >
          Probe now
        </Button>
      );
    case "enable_and_recover":
      return (
        <Button {...look} loading={enabling.isPending} onClick={() => enabling.mutate()}>
          Enable and recover…
        </Button>
      );
    case "recover":
      return (
        <Button
          {...look}
          title="Sends again what is exhausted or was skipped. Shows how much first."
          renderRoot={(props) => (
            <Link {...props} to="/dashboard/endpoints/$appId/$id" params={path} search={{ recover: "1" }} />
          )}
        >
          Recover {count(problem.waiting)}…
        </Button>
      );
    case "raise_limit":
      return (
        <Button
          {...look}
          renderRoot={(props) => (
            <Link {...props} to="/dashboard/endpoints/$appId/$id" params={path} search={{ edit: "1" }} />
          )}
        >
          Raise limit…
        </Button>
      );
    case "notify_customer":
      return (
        <CopyButton value={noteForCustomer(problem)} timeout={1500}>
          {({ copied, copy }) => (
            <Button
              {...look}
              title="Copies cause, since when and what waits, for the customer."
              onClick={copy}
            >
              {copied ? "Copied" : "Copy a note"}
            </Button>
          )}
        </CopyButton>
      );
    case "change_retention":
      return (
        <Button
          {...look}
          renderRoot={(props) => (
            <Link {...props} to="/dashboard/settings/$section" params={{ section: "environments" }} />
          )}
        >
          Change retention…
        </Button>
      );
    case "raise_quota":
      return (
        <Button
          {...look}
          renderRoot={(props) => (
            <Link {...props} to="/dashboard/settings/$section" params={{ section: "usage" }} />
          )}
        >
          See usage
        </Button>
      );
    default:
      return null;
  }
}
