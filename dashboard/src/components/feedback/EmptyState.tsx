/** Place without content, which teaches the next step. */
import type { ComponentType, ReactNode } from "react";
import { Command } from "../code/Command";
import classes from "./feedback.module.css";

interface Props {
  icon?: ComponentType<{ size?: number; stroke?: number }>;
  title: string;
  children?: ReactNode;
  /** One primary act and at most one other. */
  actions?: ReactNode;
  command?: string;
}

export function EmptyState({ icon: Icon, title, children, actions, command }: Props) {
  return (
    <div className={classes.empty}>
      {Icon && <Icon size={22} stroke={1.6} />}
      <h3>{title}</h3>
      {children !== undefined && <p className={classes.text}>{children}</p>}
      {actions !== undefined && <div className="row">{actions}</div>}
      {command !== undefined && <Command text={command} />}
    </div>
  );
}
