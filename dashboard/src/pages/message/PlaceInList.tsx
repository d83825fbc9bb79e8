/** Place of a message in the list it came from, with the keys that go to its neighbours. */
import type { InfiniteData } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { queryClient } from "@/api/client";
import { type MessageList, messagesQuery } from "@/api/messages";
import { Keys } from "@/components/feedback/Keys";
import { useKeys } from "@/shell/keys";
import { count } from "@/lib/words/numbers";
import type { Filters } from "@/lib/filters";
import { lastList, placeOf } from "../messages/last-list";
import classes from "./Message.module.css";

export function PlaceInList({ id }: { id: string }) {
  const navigate = useNavigate();
  const search = lastList();
  const filters: Filters = Object.fromEntries(
    Object.entries(search).map(([name, text]) => [name, text.split(",")]),
  );
  const data = queryClient.getQueryData<InfiniteData<MessageList>>(messagesQuery(filters).queryKey);
  const place = placeOf(id, data?.pages.flatMap((page) => page.messages) ?? []);
  const open = (other: string | undefined) =>
    other !== undefined &&
    void navigate({ to: "/dashboard/messages/$id", params: { id: other }, replace: true });
  useKeys(
    place === null
      ? []
      : [
          { keys: "j", label: "Next message", run: () => open(place.next) },
          { keys: "k", label: "Previous message", run: () => open(place.previous) },
        ],
  );
  if (place === null) return null;
  return (
    <span className={`${classes.place ?? ""} ${classes.wide ?? ""}`}>
      {count(place.number)} of {count(place.total)} shown <Keys keys="k j" />
    </span>
  );
}
