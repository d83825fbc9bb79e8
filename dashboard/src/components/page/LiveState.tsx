/** State of the live updates in the top bar, with the switch that pauses them. */
import { Button } from "@mantine/core";
import { IconPlayerPause, IconPlayerPlay } from "@tabler/icons-react";
import { useLiveState } from "@/api/live";
import { useKeys } from "@/shell/keys";
import { Keys } from "../feedback/Keys";
import classes from "./Page.module.css";

const WORDS = { live: "Live", paused: "Paused", reconnecting: "Reconnecting" };

export function LiveState({ canPause = false }: { canPause?: boolean }) {
  const { state, setPaused, isPolled } = useLiveState();
  const isPaused = state === "paused";
  useKeys(
    canPause ? [{ keys: "p", label: "Pause or resume live updates", run: () => setPaused(!isPaused) }] : [],
  );
  return (
    <>
      <span
        className={classes.live}
        data-state={state}
        role="status"
        title={
          state === "live" && isPolled
            ? "Asked for every 10 s: no live stream reaches this browser."
            : undefined
        }
      >
        {WORDS[state]}
      </span>
      {canPause && (
        <Button
          className="from-tablet"
          leftSection={
            isPaused ? <IconPlayerPlay size={15} stroke={1.8} /> : <IconPlayerPause size={15} stroke={1.8} />
          }
          rightSection={<Keys keys="p" />}
          onClick={() => setPaused(!isPaused)}
        >
          {isPaused ? "Resume" : "Pause"}
        </Button>
      )}
    </>
  );
}
