/** Cells that the tables of alerts share. */
import { Link } from "@tanstack/react-router";
import type { Alert, AlertRule } from "@/api/alerts";
import { endpointLink } from "@/components/data/links";
import { shortUrl } from "@/lib/words/ids";
import classes from "./alerts.module.css";

/** Subject, linked to its endpoint or application, over what was found. */
export function Finding({ alert }: { alert: Alert }) {
  return (
    <div className={classes.finding}>
      <Subject alert={alert} />
      <span className="small ink-2">{alert.summary}</span>
    </div>
  );
}

function Subject({ alert }: { alert: Alert }) {
  const { application_id: appId, endpoint_id: id } = alert;
  const name = shortUrl(alert.subject);
  if (appId && id)
    return (
      <Link {...endpointLink({ appId, id })} className="name">
        {name}
      </Link>
    );
  if (appId)
    return (
      <Link to="/dashboard/applications/$id" params={{ id: appId }} className="name">
        {name}
      </Link>
    );
  return <span className="name">{name}</span>;
}

/** Name of the rule that raised an alert, linked to it. */
export function RuleName({ id, rules }: { id: string; rules: AlertRule[] | undefined }) {
  const rule = rules?.find((one) => one.id === id);
  if (rule === undefined) return null;
  return (
    <Link to="/dashboard/alerts" search={{ tab: "rules", edit: id }} className="link-plain">
      {rule.name}
    </Link>
  );
}
