/** Card with the history of a message. A long one is folded. */
import { UnstyledButton } from "@mantine/core";
import { useState } from "react";
import { Timeline } from "@/components/data/Timeline";
import { Card } from "@/components/page/Card";
import { Countdown } from "@/components/time/Countdown";
import { counted } from "@/lib/words/numbers";
import type { HistoryStep } from "./history";
import classes from "../pages.module.css";

const FOLD_FROM = 12;

export function History({ steps }: { steps: HistoryStep[] }) {
  const [isOpen, setOpen] = useState(false);
  const hidden = isOpen ? 0 : Math.max(0, steps.length - FOLD_FROM);
  return (
    <Card title="History">
      {hidden > 0 && (
        <p className={classes.sum}>
          <UnstyledButton className="link small" onClick={() => setOpen(true)}>
            {counted(hidden, "earlier step")}. Show
          </UnstyledButton>
        </p>
      )}
      <Timeline
        steps={steps.slice(hidden).map(({ id, state, title, fact, offset, dueAt }) => ({
          id,
          state,
          title,
          fact,
          offset: dueAt === null ? offset : <Countdown to={dueAt} />,
        }))}
      />
    </Card>
  );
}
