/** Operation of the installation, for operators: backups, and the metrics of the node that answers. */
import { queryOptions } from "@tanstack/react-query";
import { answered, api, type Schemas } from "./client";

export type Backup = Schemas["Backup"];
export type BackupList = Schemas["BackupList"];

const BACKUPS_POLL_MS = 10_000;
/** While a backup is being made, its end is asked for more often. */
const RUNNING_POLL_MS = 1_000;
const METRICS_POLL_MS = 5_000;

/** Backups, newest first, with schedule and last failure. */
export const backupsQuery = queryOptions({
  queryKey: ["operation", "backups"],
  queryFn: () => answered(api.GET("/v1/backups")),
  refetchInterval: (query) => (query.state.data?.running_since ? RUNNING_POLL_MS : BACKUPS_POLL_MS),
});

export function startBackup() {
  return answered(api.POST("/v1/backups"));
}

/** Text of the metrics, with the time at which it was read. */
export const metricsTextQuery = queryOptions({
  queryKey: ["operation", "metrics"],
  queryFn: async () => {
    const text = await answered(api.GET("/metrics", { parseAs: "text" }));
    return { text, readAt: Date.now() };
  },
  refetchInterval: METRICS_POLL_MS,
});
