/** States in the customer's words. */
import {
  IconAlertTriangle,
  IconCircleCheckFilled,
  IconCircleDotFilled,
  IconCircleMinus,
  IconCircleXFilled,
  IconClock,
  IconHourglass,
  IconPlayerPause,
  IconPower,
  IconRotateClockwise,
} from "@tabler/icons-react";
import type { State } from "@/components/status/states";
import type { Endpoint } from "./api";
import type { MessageKey } from "./i18n";

type Say = (key: MessageKey) => string;

/** Facts of an endpoint's health that decide its state. */
export interface Trouble {
  failing_since?: string | null;
  circuit_state: string;
}

export function endpointState(endpoint: Endpoint, health: Trouble | undefined, t: Say): State {
  if (endpoint.status === "paused") return { word: t("statePaused"), tone: "idle", icon: IconPlayerPause };
  if (endpoint.status === "expired") return { word: t("stateExpired"), tone: "idle", icon: IconHourglass };
  if (endpoint.status !== "active") return { word: t("stateOff"), tone: "idle", icon: IconPower };
  const isFailing = Boolean(health?.failing_since) || (health?.circuit_state ?? "closed") !== "closed";
  return isFailing
    ? { word: t("stateFailing"), tone: "bad", icon: IconAlertTriangle }
    : { word: t("stateWorking"), tone: "good", icon: IconCircleDotFilled };
}

export function messageState(status: string, t: Say): State {
  if (status === "delivered") return { word: t("arrived"), tone: "good", icon: IconCircleCheckFilled };
  if (status === "failed") return { word: t("gaveUp"), tone: "bad", icon: IconCircleXFilled };
  if (status === "skipped") return { word: t("notSent"), tone: "idle", icon: IconCircleMinus };
  return { word: t("waiting"), tone: "idle", icon: IconClock };
}

export function deliveryState(status: string, attempts: number, t: Say): State {
  if (status === "succeeded") return messageState("delivered", t);
  if (status === "exhausted") return messageState("failed", t);
  if (status === "pending" && attempts > 0) {
    return { word: t("retrying"), tone: "careful", icon: IconRotateClockwise };
  }
  return messageState(status === "pending" ? "pending" : "skipped", t);
}
