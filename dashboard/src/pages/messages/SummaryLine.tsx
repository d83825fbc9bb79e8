/** Line above the list: how many match, by status, and the time that counting took. */
import type { MessageCounts } from "@/api/messages";
import type { Filters } from "@/lib/filters";
import { duration } from "@/lib/words/durations";
import { counted } from "@/lib/words/numbers";
import { calendar } from "@/lib/words/times";
import { byStatus, totalOf } from "./counts";

interface Props {
  filters: Filters;
  /** Absent while it is counted, and where it cannot be. */
  counts: MessageCounts | undefined;
  shown: number;
  hasMore: boolean;
  isLooking: boolean;
  tookMs: number | undefined;
}

export function SummaryLine({ filters, counts, shown, hasMore, isLooking, tookMs }: Props) {
  const total = counts ? totalOf(counts, filters) : null;
  if (counts && total !== null) {
    const parts = byStatus(counts, filters);
    return (
      <span className="cut">
        <strong className="name">{total} match</strong>
        {parts && `: ${parts}`}, in {duration(counts.took_ms)}
        {counts.counted_since && `, counted back to ${calendar(new Date(counts.counted_since), new Date())}`}
      </span>
    );
  }
  if (isLooking) return <span>Looking through older messages</span>;
  if (shown === 0) return <span />;
  return (
    <span className="cut">
      <strong className="name">{counted(shown, "message")} shown</strong>
      {hasMore ? ", more below" : ", all that match"}
      {tookMs !== undefined && `, in ${duration(tookMs)}`}
    </span>
  );
}
