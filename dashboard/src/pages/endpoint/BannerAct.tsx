/** The one act of the banner that helps an endpoint. */
import { Button } from "@mantine/core";
import { count } from "@/lib/words/numbers";

type Act = "probe" | "enable" | "recover" | "edit" | null;

/** Returns the one act that helps, as far as the user may do it. */
export function actOf(
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

export function BannerAct({ act, isBusy, missed, onProbe, onEnable, onRecover, onEdit }: ActProps) {
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
