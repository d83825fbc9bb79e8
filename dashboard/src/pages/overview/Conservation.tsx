/** Every delivery accounted for: what was accepted is the sum of the other lines. */
import { Link } from "@tanstack/react-router";
import { IconAlertTriangle, IconCircleCheckFilled } from "@tabler/icons-react";
import type { Schemas } from "@/api/client";
import { Skeletons } from "@/components/feedback/Skeletons";
import { Card } from "@/components/page/Card";
import { StatusBadge } from "@/components/status/StatusBadge";
import { count } from "@/lib/words/numbers";
import classes from "./Overview.module.css";

type Counts = Schemas["DeliveryCounts"];

/** Returns what no line explains; the server promises that it is zero. */
export function unaccounted(sum: Counts): number {
  return sum.accepted - sum.succeeded - sum.pending - sum.exhausted - sum.skipped - sum.cancelled;
}

export function Conservation({ sum, waiting }: { sum: Counts | undefined; waiting: number }) {
  const rest = sum === undefined ? 0 : unaccounted(sum);
  return (
    <Card
      title="Every delivery accounted for"
      aside={
        sum && (
          <StatusBadge
            state={
              rest === 0
                ? { word: "0 unaccounted", tone: "good", icon: IconCircleCheckFilled }
                : { word: `${count(rest)} unaccounted`, tone: "bad", icon: IconAlertTriangle }
            }
            detail="Accepted = succeeded + pending + exhausted + skipped + cancelled, of all deliveries that are kept"
          />
        )
      }
    >
      {sum ? (
        <div className={classes.sumList}>
          <Line label="Accepted" value={sum.accepted} note="that are kept" />
          <Line label="Succeeded" value={sum.succeeded} status="delivered" />
          <Line
            label="Pending"
            value={sum.pending}
            status="pending"
            {...(waiting > 0 ? { note: `${count(waiting)} in the backlogs above` } : {})}
          />
          <Line
            label="Exhausted"
            value={sum.exhausted}
            status="failed"
            isBad={sum.exhausted > 0}
            note={sum.exhausted > 0 ? "can be recovered" : "nothing to recover"}
          />
          <Line label="Skipped" value={sum.skipped} status="skipped" note="with a reason" />
          <Line label="Cancelled" value={sum.cancelled} note="with a reason" />
        </div>
      ) : (
        <Skeletons rows={6} height={28} />
      )}
    </Card>
  );
}

interface LineProps {
  label: string;
  value: number;
  /** Status of the messages that these deliveries belong to. */
  status?: string;
  note?: string;
  isBad?: boolean;
}

function Line({ label, value, status, note, isBad = false }: LineProps) {
  return (
    <div className={classes.sum} data-bad={isBad || undefined}>
      <span>
        {status === undefined ? (
          label
        ) : (
          <Link to="/dashboard/messages" search={{ status }} className="link-plain">
            {label}
          </Link>
        )}{" "}
        {note !== undefined && <span className="small ink-3">{note}</span>}
      </span>
      <span className="number">{count(value)}</span>
    </div>
  );
}
