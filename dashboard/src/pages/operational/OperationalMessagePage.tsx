/** Page of an operational message. */
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { MessageView } from "../message/MessageView";
import { LIST } from "./list";

const FROM = "/dashboard/operational-webhooks/messages/$id";

export function OperationalMessagePage() {
  const { id } = useParams({ from: FROM });
  const search = useSearch({ from: FROM });
  const navigate = useNavigate();
  return (
    <MessageView
      id={id}
      kind="operational"
      search={search}
      select={(next) => void navigate({ to: FROM, params: { id }, search: next, replace: true })}
      list={LIST}
    />
  );
}
