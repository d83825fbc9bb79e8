/** What changed: the last five entries of the audit log. Absent for roles that may not read it. */
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { latestChangesQuery } from "@/api/audit";
import { allEndpointsQuery, nameOf } from "@/api/endpoints";
import { useMay, useSession } from "@/api/session";
import { ErrorState } from "@/components/feedback/ErrorState";
import { Skeletons } from "@/components/feedback/Skeletons";
import { Card } from "@/components/page/Card";
import { RelativeTime } from "@/components/time/RelativeTime";
import { changeOf, nounOf, subjectOf } from "../settings/audit-words";
import classes from "./Overview.module.css";

export function Changes() {
  const session = useSession();
  const mayRead = useMay("audit:read");
  const changes = useQuery({
    ...latestChangesQuery(session.env_id ?? ""),
    enabled: mayRead && Boolean(session.env_id),
  });
  // An update names only what changed. The list of endpoints, if it was read, tells the name.
  const { data: all } = useQuery({ ...allEndpointsQuery, enabled: false });
  if (!mayRead) return null;
  const names = new Map(all?.endpoints.map((one) => [one.id, nameOf(one)]));
  return (
    <Card
      title="What changed"
      aside={
        <Link to="/dashboard/settings/$section" params={{ section: "audit-log" }}>
          Audit log
        </Link>
      }
    >
      {changes.isError && (
        <ErrorState what="The audit log" error={changes.error} onRetry={() => void changes.refetch()} />
      )}
      {changes.isPending && <Skeletons rows={5} height={28} />}
      {changes.data?.length === 0 && <p className={`${classes.sum ?? ""} ink-2`}>Nothing has changed yet.</p>}
      <div className={classes.list}>
        {changes.data?.map((entry) => {
          const name = subjectOf(entry) || (names.get(entry.resource_id ?? "") ?? "");
          return (
            <div key={entry.id} className={classes.change}>
              <span className="small ink-3 number">
                <RelativeTime value={entry.created_at} />
              </span>
              <span className="cut">
                {/* An endpoint is known by its name; the room is for what changed. */}
                <span className="name">
                  {entry.resource_type === "endpoint" && name ? name : `${nounOf(entry)} ${name}`.trim()}
                </span>{" "}
                <span className="ink-2">{changeOf(entry)}</span>
              </span>
            </div>
          );
        })}
      </div>
    </Card>
  );
}
