/** Dialog that retries everything that the filters select. While its jobs run it shows their progress. */
import { Modal } from "@mantine/core";
import { useState } from "react";
import type { Job } from "@/api/jobs";
import { toast } from "@/components/feedback/toast";
import type { FilterField, Filters } from "@/lib/filters";
import { counted } from "@/lib/words/numbers";
import classes from "@/components/dry-run/DryRun.module.css";
import { RetryForm } from "./RetryForm";
import { RetryProgress } from "./RetryProgress";

interface Props {
  isOpen: boolean;
  onClose: () => void;
  filters: Filters;
  fields: FilterField[];
  /** Filters in words. */
  chosen: string[];
}

export function RetryDialog({ isOpen, onClose, filters, fields, chosen }: Props) {
  const [jobs, setJobs] = useState<Job[] | null>(null);
  const close = (isRunning: boolean) => {
    if (jobs !== null && isRunning)
      toast(`${counted(jobs.length, "job goes", "jobs go")} on. Jobs shows the progress.`);
    setJobs(null);
    onClose();
  };
  return (
    <Modal
      opened={isOpen}
      onClose={() => close(jobs !== null)}
      size={640}
      title="Retry what matches"
      padding={0}
      classNames={{ header: classes.head ?? "" }}
    >
      {isOpen && jobs === null && (
        <RetryForm
          filters={filters}
          fields={fields}
          chosen={chosen}
          onCancel={() => close(false)}
          onStarted={setJobs}
        />
      )}
      {isOpen && jobs !== null && <RetryProgress jobs={jobs} onClose={close} />}
    </Modal>
  );
}
