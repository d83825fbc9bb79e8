/** Steps in the order in which they happened: an icon, a title in words, one line of facts, and the time since the start. */
import type { ReactNode } from "react";
import type { State } from "../status/states";
import classes from "./Timeline.module.css";

export interface Step {
  id: string;
  state: State;
  title: ReactNode;
  fact?: ReactNode;
  /** Time since the first step, or until the step is due. */
  offset: ReactNode;
}

export function Timeline({ steps }: { steps: Step[] }) {
  return (
    <ol className={classes.timeline}>
      {steps.map(({ id, state, title, fact, offset }) => {
        const Icon = state.icon;
        return (
          <li key={id} className={classes.step}>
            <span className={classes.tile} data-tone={state.tone}>
              <Icon size={15} stroke={1.7} />
            </span>
            <span className={classes.text}>
              <span className="name">{title}</span>
              {fact !== undefined && <span className="small ink-2">{fact}</span>}
            </span>
            <span className="small ink-3 number">{offset}</span>
          </li>
        );
      })}
    </ol>
  );
}
