/** Page of a message of an application. */
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { lastList } from "../messages/last-list";
import { MessageView } from "./MessageView";

const FROM = "/dashboard/messages/$id";

export function MessagePage() {
  const { id } = useParams({ from: FROM });
  const search = useSearch({ from: FROM });
  const navigate = useNavigate();
  return (
    <MessageView
      id={id}
      kind="application"
      search={search}
      select={(next) => void navigate({ to: FROM, params: { id }, search: next, replace: true })}
      list={{ label: "Messages", link: { to: "/dashboard/messages", search: lastList() } }}
    />
  );
}
