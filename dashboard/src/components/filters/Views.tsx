/** Views of a list as tabs with their counts. What stands at the right belongs to the selected one. */
import { UnstyledButton } from "@mantine/core";
import { IconUsers } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { count } from "@/lib/words/numbers";
import classes from "./Views.module.css";

export interface ViewTab {
  name: string;
  label: string;
  /** A text where counting may have stopped early. */
  count?: number | string | undefined;
  /** Whether others see the view too. */
  isShared?: boolean;
}

interface Props {
  label: string;
  views: ViewTab[];
  /** Name of the selected view; null if the filters are those of no view. */
  selected: string | null;
  onSelect: (name: string) => void;
  aside?: ReactNode;
}

export function Views({ label, views, selected, onSelect, aside }: Props) {
  return (
    <div className={classes.views}>
      <nav aria-label={label} className={classes.tabs}>
        {views.map((view) => (
          <UnstyledButton
            key={view.name}
            className={classes.tab}
            aria-current={view.name === selected || undefined}
            onClick={() => onSelect(view.name)}
          >
            {view.isShared && <IconUsers size={14} stroke={1.7} role="img" aria-label="Shared" />}
            {view.label}
            {view.count !== undefined && (
              <span className={classes.count}>
                {typeof view.count === "number" ? count(view.count) : view.count}
              </span>
            )}
          </UnstyledButton>
        ))}
      </nav>
      {aside !== undefined && <div className={classes.aside}>{aside}</div>}
    </div>
  );
}
