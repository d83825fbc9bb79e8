/** Number of messages in each view, asked for once a minute. */
import { useQueries } from "@tanstack/react-query";
import { messageCountsQuery } from "@/api/messages";
import { totalOf } from "../counts";
import { filtersOf, type MessageView } from "./views";

/** Counts that are asked for at most; further views have none, so that many views cost the server no more. */
const MAX_COUNTS = 20;

/** Returns the counts by the name of the view. Views that differ in the status only share a count. */
export function useViewCounts(views: MessageView[]): Map<string, string> {
  const keyOf = (view: MessageView) => JSON.stringify(messageCountsQuery(filtersOf(view)).queryKey);
  const keys = [...new Set(views.map(keyOf))].slice(0, MAX_COUNTS);
  return useQueries({
    queries: keys.flatMap((key) => {
      const view = views.find((one) => keyOf(one) === key);
      return view ? [messageCountsQuery(filtersOf(view))] : [];
    }),
    combine: (results) =>
      new Map(
        views.flatMap((view) => {
          const counts = results[keys.indexOf(keyOf(view))]?.data;
          const total = counts ? totalOf(counts, filtersOf(view)) : null;
          return total === null ? [] : [[view.name, total] as const];
        }),
      ),
  });
}
