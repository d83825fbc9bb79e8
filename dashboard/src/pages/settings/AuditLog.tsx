/** Audit log: who changed what, when, with the difference. */
import { Button, UnstyledButton } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { type AuditEntry, auditLogQuery, exportAddress } from "@/api/audit";
import { Diff } from "@/components/code/Diff";
import { EmptyState } from "@/components/feedback/EmptyState";
import { ErrorState } from "@/components/feedback/ErrorState";
import { Skeletons } from "@/components/feedback/Skeletons";
import { FilterBar } from "@/components/filters/FilterBar";
import { Card, Facts } from "@/components/page/Card";
import { IdCopy } from "@/components/status/IdCopy";
import { RelativeTime } from "@/components/time/RelativeTime";
import { diffOf } from "@/lib/json/diff";
import { type FilterField, formatFilters, parseFilters } from "@/lib/filters";
import classes from "../pages.module.css";
import { describeEntry } from "./audit-words";

const FIELDS: FilterField[] = [
  { name: "action", label: "Action", kind: "text" },
  { name: "resource_type", label: "Resource", kind: "text" },
  { name: "resource_id", label: "Resource id", kind: "text" },
  { name: "actor_id", label: "Actor id", kind: "text" },
  { name: "since", label: "Time", operator: "since", kind: "time" },
  { name: "until", label: "Time", operator: "before", kind: "time" },
];

export function AuditLog() {
  const navigate = useNavigate();
  const filters = parseFilters(useSearch({ from: "/dashboard/settings/$section" }), FIELDS);
  const list = useInfiniteQuery(auditLogQuery(filters));
  const [open, setOpen] = useState<string | null>(null);
  const entries = list.data?.pages.flatMap((page) => page.audit_log) ?? [];
  return (
    <Card
      title="Changes"
      aside={
        <a href={exportAddress(filters)} download>
          Export
        </a>
      }
    >
      <FilterBar
        isInCard
        fields={FIELDS}
        filters={filters}
        onChange={(next) =>
          void navigate({
            to: "/dashboard/settings/$section",
            params: { section: "audit-log" },
            search: formatFilters(next),
          })
        }
      />
      {list.isError && (
        <ErrorState what="The audit log" error={list.error} onRetry={() => void list.refetch()} />
      )}
      {list.isPending && <Skeletons rows={8} />}
      {list.isSuccess && entries.length === 0 && <EmptyState title="No change matches" />}
      {entries.map((entry) => (
        <div key={entry.id} className={classes.changeRow}>
          <UnstyledButton
            className={classes.choice}
            aria-expanded={open === entry.id}
            onClick={() => setOpen(open === entry.id ? null : entry.id)}
          >
            <span className={classes.between}>
              <span className="name cut">{describeEntry(entry)}</span>
              <span className="small ink-3">
                <RelativeTime value={entry.created_at} />
              </span>
            </span>
            <span className="small ink-2 cut">
              {entry.actor.name ?? entry.actor.kind}, {entry.action}
            </span>
          </UnstyledButton>
          {open === entry.id && <Entry entry={entry} />}
        </div>
      ))}
      {list.hasNextPage && (
        <div className={classes.sum}>
          <Button loading={list.isFetchingNextPage} onClick={() => void list.fetchNextPage()}>
            Show older changes
          </Button>
        </div>
      )}
    </Card>
  );
}

function Entry({ entry }: { entry: AuditEntry }) {
  const lines = diffOf(
    (entry.before ?? null) as Record<string, unknown> | null,
    (entry.after ?? null) as Record<string, unknown> | null,
  );
  return (
    <div className={classes.entry}>
      <Facts
        facts={[
          [
            "Resource",
            entry.resource_id ? <IdCopy key="id" value={entry.resource_id} isFull /> : entry.resource_type,
          ],
          ["By", `${entry.actor.kind} ${entry.actor.name ?? entry.actor.id ?? ""}`],
          ["Address", entry.address],
          [
            "Request",
            entry.request_id ? (
              <IdCopy key="request" value={entry.request_id} isFull label="request id" />
            ) : null,
          ],
        ]}
      />
      <div className={classes.inset}>
        <Diff lines={lines} />
      </div>
    </div>
  );
}
