/** What was changed on an endpoint, by whom. */
import { useQuery } from "@tanstack/react-query";
import { latestChangesQuery } from "@/api/audit";
import { useSession } from "@/api/session";
import { Diff } from "@/components/code/Diff";
import { EmptyState } from "@/components/feedback/EmptyState";
import { ErrorState } from "@/components/feedback/ErrorState";
import { Skeletons } from "@/components/feedback/Skeletons";
import { Card } from "@/components/page/Card";
import { RelativeTime } from "@/components/time/RelativeTime";
import { diffOf } from "@/lib/json/diff";
import { changeOf } from "../settings/audit-words";
import classes from "./Endpoint.module.css";

export function EndpointActivity({ endpointId }: { endpointId: string }) {
  const { env_id } = useSession();
  const entries = useQuery({ ...latestChangesQuery(env_id ?? "", endpointId), enabled: Boolean(env_id) });
  return (
    <Card title="Activity" aside="the latest 50 changes">
      {entries.isError && (
        <ErrorState what="The audit log" error={entries.error} onRetry={() => void entries.refetch()} />
      )}
      {entries.isPending && <Skeletons rows={6} />}
      {entries.data?.length === 0 && (
        <EmptyState title="Nothing was changed">Changes of this endpoint are listed here.</EmptyState>
      )}
      {entries.data?.map((entry) => (
        <div key={entry.id} className={classes.change}>
          <span className="small ink-3 number">
            <RelativeTime value={entry.created_at} />
          </span>
          <div className="stack-small">
            <span>
              <span className="name">{sentenceCase(changeOf(entry))}</span>{" "}
              <span className="ink-2">by {entry.actor.name ?? entry.actor.kind.replaceAll("_", " ")}</span>
            </span>
            {entry.action.endsWith(".update") && (
              <Diff lines={diffOf(entry.before ?? null, entry.after ?? null)} />
            )}
          </div>
        </div>
      ))}
    </Card>
  );
}

function sentenceCase(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
