/** Acts on an endpoint: send a test, pause, disable, activate, close its circuit. Each says what it did. */
import { useMutation } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { queryClient } from "@/api/client";
import { type EndpointPath, resetCircuit, sendTest, updateEndpoint } from "@/api/endpoints";
import { kindOf } from "@/api/messages";
import { messageLink } from "@/components/data/links";
import { toast } from "@/components/feedback/toast";

/** Asks again for everything that a change of an endpoint concerns. */
export function refreshEndpoints() {
  return Promise.all(
    ["endpoints", "engine", "problems"].map((name) => queryClient.invalidateQueries({ queryKey: [name] })),
  );
}

export function useEndpointActs(path: EndpointPath, name: string) {
  const navigate = useNavigate();
  const failed = (error: Error) => toast(error.message);
  const turning = useMutation({
    mutationFn: (status: "active" | "paused" | "disabled") => updateEndpoint(path, { status }),
    onSuccess: refreshEndpoints,
    onError: failed,
  });
  const probing = useMutation({
    mutationFn: () => resetCircuit(path),
    onError: failed,
    onSuccess: async () => {
      toast("The circuit is closed. Deliveries go one at a time at first.");
      await refreshEndpoints();
    },
  });
  const testing = useMutation({
    mutationFn: () => sendTest(path, {}),
    onSuccess: (answer) => navigate(messageLink(kindOf(path), answer.message.id, { delivery: path.id })),
    onError: failed,
  });
  const activate = () => turning.mutate("active", { onSuccess: () => toast(`${name} is active.`) });
  return {
    isTesting: testing.isPending,
    isBusy: probing.isPending || turning.isPending,
    test: () => testing.mutate(),
    probe: () => probing.mutate(),
    activate,
    pause: () => turning.mutate("paused", { onSuccess: () => toast(`${name} is paused.`, activate) }),
    disable: () => turning.mutate("disabled", { onSuccess: () => toast(`${name} is disabled.`, activate) }),
    /** Activates the endpoint, and then goes on. */
    enable: (then: () => void) => turning.mutate("active", { onSuccess: then }),
  };
}
