/** Recovery: counts what was missed, then sends it again and shows how far it is. */
import { Select } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { type Endpoint, forecast, jobQuery, recover } from "../api";
import { type MessageKey, useWords } from "../i18n";
import { Confirm, ErrorText } from "../parts";
import classes from "../portal.module.css";

const RANGES: [string, MessageKey][] = [
  ["1", "lastHour"],
  ["24", "lastDay"],
  ["72", "last3Days"],
  ["168", "last7Days"],
];

interface Props {
  endpoint: Endpoint;
  name: string;
  isOpen: boolean;
  onClose: () => void;
}

export function Recover({ endpoint, name, isOpen, onClose }: Props) {
  const { t, number } = useWords();
  const [hours, setHours] = useState("24");
  const [jobId, setJobId] = useState<string | null>(null);
  const since = useMemo(() => {
    // The range is fixed while the dialog is open, so that the count is that of the act.
    const now = isOpen ? Date.now() : 0;
    return new Date(now - Number(hours) * 3_600_000).toISOString();
  }, [hours, isOpen]);
  const counted = useQuery({
    queryKey: ["forecast", endpoint.id, since],
    queryFn: () => forecast(endpoint.id, since),
    enabled: isOpen,
  });
  const job = useQuery(jobQuery(jobId));
  const count = counted.data?.count ?? 0;
  return (
    <>
      {job.data && (
        <div className={classes.banner} role="status">
          {job.data.status === "running"
            ? t("recoverRunning", { done: number(job.data.requeued), total: number(job.data.total ?? 0) })
            : t("recoverDone", { count: job.data.requeued })}
        </div>
      )}
      <Confirm
        isOpen={isOpen}
        onClose={onClose}
        title={t("recoverTitle", { name })}
        verb={t("recoverAct", { count })}
        isReady={count > 0}
        act={async () => {
          const started = await recover(endpoint.id, since);
          setJobId(started?.id ?? null);
        }}
        text={
          <div className="stack">
            <p>{t("recoverText")}</p>
            <Select
              label={t("recoverSince")}
              data={RANGES.map(([value, key]) => ({ value, label: t(key) }))}
              value={hours}
              onChange={(value) => setHours(value ?? "24")}
            />
            <p role="status">{counted.data ? t("recoverCount", { count }) : " "}</p>
            <ErrorText error={counted.error} />
          </div>
        }
      />
    </>
  );
}
