/** State of a node: its lease, and whether it keeps up. */
import { IconAlertTriangle, IconCircleDotFilled, IconRotateClockwise } from "@tabler/icons-react";
import type { Schemas } from "@/api/client";
import type { State } from "@/components/status/states";

/** Lag above which deliveries start noticeably late. */
const SLOW_MS = 2_000;

export function nodeState(node: Pick<Schemas["Node"], "lapses_at" | "lag_ms">, now: Date): State {
  if (node.lapses_at && Date.parse(node.lapses_at) < now.getTime()) {
    return { word: "Lapsed", tone: "bad", icon: IconAlertTriangle };
  }
  return node.lag_ms > SLOW_MS
    ? { word: "Late", tone: "careful", icon: IconRotateClockwise }
    : { word: "Running", tone: "good", icon: IconCircleDotFilled };
}
