/** Backups of the data directory: the last good one, the list, and what to set where there are none. */
import { Button } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { IconDatabaseExport } from "@tabler/icons-react";
import { queryClient } from "@/api/client";
import { type BackupList, backupsQuery, metricsTextQuery, startBackup } from "@/api/operation";
import { useMay } from "@/api/session";
import { Banner } from "@/components/feedback/Banner";
import { EmptyState } from "@/components/feedback/EmptyState";
import { Skeletons } from "@/components/feedback/Skeletons";
import { toast } from "@/components/feedback/toast";
import { Card, Figures } from "@/components/page/Card";
import { Page, Title } from "@/components/page/Page";
import { StatusBadge } from "@/components/status/StatusBadge";
import { Countdown } from "@/components/time/Countdown";
import { RelativeTime } from "@/components/time/RelativeTime";
import { duration } from "@/lib/words/durations";
import { bytes, counted } from "@/lib/words/numbers";
import classes from "../pages.module.css";
import { nextAt, standingOf } from "./backup-words";
import { backupsState } from "./backup-state";
import { BackupTable } from "./BackupTable";
import { labelOf, parseMetrics } from "./metrics-text";
import { NoBackups } from "./NoBackups";
import { OperatorOnly } from "./OperatorOnly";
import { Restore } from "./Restore";

const GUIDE = "/docs/guide/guides/backup";

export function Backups() {
  const mayBackUp = useMay("backups:read");
  const backups = useQuery(backupsQuery);
  const list = backups.data;
  const isOff = list !== undefined && !list.schedule;
  // The metrics name the database: PostgreSQL has tools of its own.
  const metrics = useQuery({ ...metricsTextQuery, enabled: isOff, refetchInterval: false });
  const database = metrics.data
    ? labelOf(parseMetrics(metrics.data.text), "hookstream_build_info", "database")
    : null;
  const starting = useMutation({
    mutationFn: startBackup,
    onSuccess: () => toast("The backup has begun."),
    onError: (error) => toast(error.message),
    onSettled: () => queryClient.invalidateQueries({ queryKey: backupsQuery.queryKey }),
  });
  const now = new Date();
  return (
    <Page
      crumbs={[{ label: "Backups" }]}
      actions={
        list?.schedule &&
        mayBackUp && (
          <Button
            variant="filled"
            leftSection={<IconDatabaseExport size={15} stroke={1.8} />}
            loading={starting.isPending}
            disabled={Boolean(list.running_since)}
            onClick={() => starting.mutate()}
          >
            {list.running_since ? "Backing up" : "Back up now"}
          </Button>
        )
      }
    >
      <Title
        text="Backups"
        badge={list && <StatusBadge state={backupsState(list, now)} isTinted />}
        facts={
          <>
            {list?.schedule && (
              <span>
                Daily at {list.schedule.at} UTC into <code>{list.schedule.directory}</code>
              </span>
            )}
            <a href={GUIDE}>Backup and restore</a>
          </>
        }
      />
      {backups.isPending && (
        <Card>
          <Skeletons rows={4} />
        </Card>
      )}
      {backups.isError && (
        <Card>
          <OperatorOnly what="Backups" icon={IconDatabaseExport} scope="operator:backups" query={backups} />
        </Card>
      )}
      {isOff && !metrics.isLoading && <NoBackups database={database} />}
      {list?.schedule && (
        <>
          <Trouble list={list} now={now} />
          <Card>
            <Figures figures={figuresOf(list, list.schedule, now)} />
          </Card>
          <Card title="Kept backups" aside={counted(list.backups.length, "backup")}>
            {list.backups.length === 0 ? (
              <EmptyState icon={IconDatabaseExport} title="No backup yet">
                The server makes one at its start, and then each day.
              </EmptyState>
            ) : (
              <BackupTable backups={list.backups} />
            )}
          </Card>
          <div className={classes["grid-half"]}>
            <Restore directory={list.schedule.directory} />
          </div>
        </>
      )}
    </Page>
  );
}

function Trouble({ list, now }: { list: BackupList; now: Date }) {
  const { isFailing, isMissed } = standingOf(list, now);
  if (isFailing && list.failed_at) {
    return (
      <Banner tone="bad">
        <strong className="name">The backup failed</strong> <RelativeTime value={list.failed_at} />:{" "}
        {list.failure}. It is repeated every 15 minutes.
      </Banner>
    );
  }
  if (isMissed) {
    return (
      <Banner tone="careful">
        The last good backup is older than a day. The log of the server has the cause.
      </Banner>
    );
  }
  return null;
}

function figuresOf(list: BackupList, schedule: NonNullable<BackupList["schedule"]>, now: Date) {
  const { last, isFailing, isMissed } = standingOf(list, now);
  return [
    {
      label: "Last good backup",
      value: last?.created_at ? <RelativeTime value={last.created_at} /> : "None",
      note: last ? `took ${duration(last.duration_ms)}` : "nothing to restore",
      isBad: isFailing,
      isCareful: isMissed && !isFailing,
    },
    {
      label: "Size",
      value: last ? bytes(last.bytes) : "None",
      note: last ? `${counted(last.days, "day")} of messages` : "",
    },
    {
      label: "New in it",
      value: last ? bytes(last.new_bytes) : "None",
      note: "the rest is shared with earlier ones",
    },
    {
      label: "Next",
      value: list.running_since ? "Now" : <Countdown to={nextAt(schedule.at, now).toISOString()} />,
      note: `${schedule.at} UTC`,
    },
    { label: "Kept for", value: counted(schedule.keep_days, "day"), note: "the newest always stays" },
  ];
}
