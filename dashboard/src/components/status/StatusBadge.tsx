/** State as icon, color and word. Quiet in tables; tinted in titles. */
import { Tooltip } from "@mantine/core";
import type { State } from "./states";
import classes from "./StatusBadge.module.css";

interface Props {
  state: State;
  isTinted?: boolean;
  /** Reason and since when, shown on hover. */
  detail?: string | undefined;
}

export function StatusBadge({ state, isTinted = false, detail }: Props) {
  const Icon = state.icon;
  const badge = (
    <span className={classes.badge} data-tone={state.tone} data-tinted={isTinted || undefined}>
      <Icon
        size={15}
        stroke={1.8}
        className={state.word.startsWith("Running") ? classes.turning : classes.icon}
      />
      {state.word}
    </span>
  );
  return detail === undefined ? badge : <Tooltip label={detail}>{badge}</Tooltip>;
}
