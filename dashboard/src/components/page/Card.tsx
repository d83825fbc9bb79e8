/** Card: a heading, what stands at its right, and content parted by lines. Cards never nest. */
import type { ReactNode } from "react";
import classes from "./Page.module.css";

interface Props {
  title?: ReactNode;
  aside?: ReactNode;
  children: ReactNode;
  isPadded?: boolean;
}

export function Card({ title, aside, children, isPadded = false }: Props) {
  return (
    <section className={classes.card}>
      {title !== undefined && (
        <div className={classes.cardHead}>
          <h2 className="cut">{title}</h2>
          {aside !== undefined && <div className="row small ink-3">{aside}</div>}
        </div>
      )}
      <div className={isPadded ? classes.padded : undefined}>{children}</div>
    </section>
  );
}

/** Labels with their values. A value that is null or undefined leaves its line out. */
export function Facts({ facts }: { facts: [string, ReactNode][] }) {
  return (
    <dl className={classes.factList}>
      {facts
        .filter(([, value]) => value !== null && value !== undefined)
        .map(([label, value]) => (
          <div key={label} className={classes.fact}>
            <dt>{label}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}

export interface Figure {
  label: string;
  value: ReactNode;
  note?: ReactNode;
  isBad?: boolean;
  isCareful?: boolean;
}

/** Headline numbers side by side. */
export function Figures({ figures }: { figures: Figure[] }) {
  return (
    <div className={classes.figures}>
      {figures.map((figure) => (
        <div key={figure.label} className={classes.figure}>
          <span className="small ink-2">{figure.label}</span>
          <strong data-bad={figure.isBad || undefined} data-careful={figure.isCareful || undefined}>
            {figure.value}
          </strong>
          {figure.note !== undefined && <span className="small ink-3">{figure.note}</span>}
        </div>
      ))}
    </div>
  );
}
