/** Page of an operational endpoint. */
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { EndpointView } from "../endpoint/EndpointView";
import { LIST } from "./list";

const FROM = "/dashboard/operational-webhooks/endpoints/$id";

export function OperationalEndpointPage() {
  const { id } = useParams({ from: FROM });
  const search = useSearch({ from: FROM });
  const navigate = useNavigate();
  return (
    <EndpointView
      path={{ appId: null, id }}
      search={search}
      go={({ tab, edit }) =>
        void navigate({
          to: FROM,
          params: { id },
          search: { ...(tab ? { tab } : {}), ...(edit ? { edit } : {}) },
        })
      }
      crumbs={[LIST]}
      leave={() => navigate(LIST.link)}
    />
  );
}
