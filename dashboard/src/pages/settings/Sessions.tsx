/** Sessions of the user, and ending them. */
import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { endAllSessions, endSession, sessionsQuery } from "@/api/account";
import { queryClient } from "@/api/client";
import { Loaded } from "@/components/feedback/Loaded";
import { Card } from "@/components/page/Card";
import { PlainTable } from "@/components/table/PlainTable";
import { RelativeTime } from "@/components/time/RelativeTime";
import { programOf } from "@/lib/words/user-agent";

export function Sessions() {
  const sessions = useQuery(sessionsQuery);
  const refresh = () => queryClient.invalidateQueries({ queryKey: sessionsQuery.queryKey });
  return (
    <Card
      title="Sessions"
      aside={
        <Button onClick={() => void endAllSessions().then(() => location.assign("/sign-in"))}>
          End all and sign out
        </Button>
      }
    >
      <Loaded what="Sessions" query={sessions}>
        {(rows) => (
          <PlainTable
            label="Sessions"
            rows={rows}
            idOf={(row) => row.id}
            columns={[
              {
                head: "Program",
                cell: (row) => <span title={row.user_agent ?? ""}>{programOf(row.user_agent)}</span>,
              },
              { head: "Address", cell: (row) => <code>{row.address ?? "unknown"}</code> },
              { head: "Last seen", cell: (row) => <RelativeTime value={row.last_seen_at} /> },
              {
                head: "Acts",
                cell: (row) =>
                  row.current === 1 ? (
                    <span className="ink-3">this session</span>
                  ) : (
                    <Button onClick={() => void endSession(row.id).then(refresh)}>End</Button>
                  ),
              },
            ]}
          />
        )}
      </Loaded>
    </Card>
  );
}
