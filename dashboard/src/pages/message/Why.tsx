/** Card that says why a message has or has not arrived, and what helps. */
import type { UseQueryResult } from "@tanstack/react-query";
import { IconBulb } from "@tabler/icons-react";
import type { ExplainedEndpoint } from "@/api/messages";
import { ErrorState } from "@/components/feedback/ErrorState";
import { Keys } from "@/components/feedback/Keys";
import { Card } from "@/components/page/Card";
import { Sentence } from "@/components/time/Sentence";
import classes from "../pages.module.css";

interface Props {
  title: string;
  explanation: UseQueryResult<{ summary: string }>;
  /** Explanation of the selected delivery. */
  explained: ExplainedEndpoint | undefined;
  /** Name of its endpoint. */
  name: string;
}

export function Why({ title, explanation, explained, name }: Props) {
  return (
    <Card isPadded title={title} aside={<Keys keys="e" />}>
      <div id="why" className="stack-small">
        {explanation.isError && (
          <ErrorState
            what="The explanation"
            error={explanation.error}
            onRetry={() => void explanation.refetch()}
          />
        )}
        {explanation.data && (
          <p>
            <Sentence text={explanation.data.summary} />
          </p>
        )}
        {explained && (
          <p>
            <strong className="name">{name}: </strong>
            <Sentence text={explained.why} />
          </p>
        )}
        {explained?.next_step && (
          <div className={classes.tip}>
            <IconBulb size={15} stroke={1.7} />
            <span>
              <Sentence text={explained.next_step} />
            </span>
          </div>
        )}
      </div>
    </Card>
  );
}
