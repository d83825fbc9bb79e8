/** Application or endpoint that a rule is narrowed to, as a link: `, of Haverbrook orders`. */
import { Link } from "@tanstack/react-router";
import type { AlertRule } from "@/api/alerts";
import { useApplicationNames } from "@/api/applications";
import { nameOf, useEndpointsById } from "@/api/endpoints";
import { endpointLink } from "@/components/data/links";
import { shortId } from "@/lib/words/ids";
import classes from "../alerts.module.css";

export function ScopeName({ rule }: { rule: AlertRule }) {
  const { application_id: appId, endpoint_id: id } = rule;
  const names = useApplicationNames(appId ? [appId] : []);
  const endpoints = useEndpointsById(appId && id ? [{ appId, id }] : []);
  if (!appId) return null;
  if (!id) {
    return (
      <>
        , of{" "}
        <Link to="/dashboard/applications/$id" params={{ id: appId }} className={classes.inText}>
          {names.get(appId) ?? shortId(appId)}
        </Link>
      </>
    );
  }
  const endpoint = endpoints.get(id);
  return (
    <>
      , of{" "}
      <Link {...endpointLink({ appId, id })} className={classes.inText}>
        {endpoint ? nameOf(endpoint) : shortId(id)}
      </Link>
    </>
  );
}
