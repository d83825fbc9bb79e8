/** Cause on a page; one at most. */
import { IconAlertTriangle, IconInfoCircle } from "@tabler/icons-react";
import type { ReactNode } from "react";
import classes from "./feedback.module.css";

interface Props {
  tone: "bad" | "careful" | "plain";
  children: ReactNode;
  /** The one act that helps. */
  action?: ReactNode;
  /** Without an announcement, for text that changes by itself. */
  isSilent?: boolean;
}

export function Banner({ tone, children, action, isSilent = false }: Props) {
  const Icon = tone === "bad" ? IconAlertTriangle : IconInfoCircle;
  return (
    <div className={classes.banner} data-tone={tone} role={isSilent ? "note" : "status"}>
      <Icon size={16} stroke={1.8} />
      <div className="grow">{children}</div>
      {action}
    </div>
  );
}
