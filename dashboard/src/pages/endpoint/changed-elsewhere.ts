/** Toast for a change of the shown endpoint by another user or a program. The page shows the new state by itself. */
import { useEffect, useRef } from "react";
import type { Endpoint } from "@/api/endpoints";
import { isOwnChange } from "@/api/own-changes";
import { toast, type ToastAction } from "@/components/feedback/toast";

/** What tells one state of an endpoint from another. */
export type Seen = Pick<Endpoint, "id" | "updated_at" | "disabled_reason">;

/** Returns whether an endpoint was changed by somebody else. The engine's own acts stand in the page's banner. */
export function isChangedElsewhere(before: Seen | undefined, after: Seen, now: number): boolean {
  if (before?.id !== after.id || before.updated_at === after.updated_at) return false;
  const isByEngine = Boolean(after.disabled_reason) && before.disabled_reason !== after.disabled_reason;
  return !isByEngine && !isOwnChange(after.id, now);
}

/** Says that the endpoint changed elsewhere; `action` leads to the changes. */
export function useChangedElsewhere(endpoint: Endpoint | undefined, action: ToastAction | undefined): void {
  const seen = useRef<Seen | undefined>(undefined);
  const latest = useRef(action);
  useEffect(() => {
    latest.current = action;
  });
  useEffect(() => {
    if (endpoint === undefined) return;
    if (isChangedElsewhere(seen.current, endpoint, Date.now())) {
      toast("This endpoint changed elsewhere.", latest.current);
    }
    seen.current = endpoint;
  }, [endpoint]);
}
