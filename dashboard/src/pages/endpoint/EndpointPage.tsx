/** Page of an application's endpoint. */
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { applicationQuery } from "@/api/applications";
import { EndpointView } from "./EndpointView";

const FROM = "/dashboard/endpoints/$appId/$id";

export function EndpointPage() {
  const path = useParams({ from: FROM });
  const search = useSearch({ from: FROM });
  const navigate = useNavigate();
  const { data: application } = useQuery(applicationQuery(path.appId));
  const applicationLink = { to: "/dashboard/applications/$id", params: { id: path.appId } } as const;
  return (
    <EndpointView
      path={path}
      search={search}
      go={(next) => void navigate({ to: FROM, params: path, search: next })}
      crumbs={[
        { label: "Endpoints", link: { to: "/dashboard/endpoints" } },
        { label: application?.name ?? "Application", link: applicationLink },
      ]}
      owner={application && <Link {...applicationLink}>{application.name}</Link>}
      leave={() => navigate(applicationLink)}
    />
  );
}
