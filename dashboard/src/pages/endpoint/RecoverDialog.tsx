/** Dialog of recover and replay. It has an address; while a job runs it shows its progress, and a toast goes on with it. */
import { Modal } from "@mantine/core";
import { useState } from "react";
import { type Endpoint, type EndpointHealth, type OwnedPath, nameOf } from "@/api/endpoints";
import type { Job } from "@/api/jobs";
import { JobToast } from "../engine/JobToast";
import { JobProgress } from "./JobProgress";
import classes from "@/components/dry-run/DryRun.module.css";
import { RecoverForm } from "./RecoverForm";

interface Props {
  kind: "recover" | "replay";
  isOpen: boolean;
  onClose: () => void;
  path: OwnedPath;
  endpoint: Endpoint;
  health: EndpointHealth | undefined;
}

export function RecoverDialog({ kind, isOpen, onClose, path, endpoint, health }: Props) {
  const [job, setJob] = useState<Job | null>(null);
  const name = nameOf(endpoint);
  const close = (isRunning: boolean) => {
    if (job !== null && isRunning) JobToast.show(job, name);
    setJob(null);
    onClose();
  };
  const title = kind === "recover" ? `Recover ${name}` : `Replay to ${name}`;
  return (
    <Modal
      opened={isOpen}
      onClose={() => close(job !== null)}
      size={640}
      title={title}
      padding={0}
      classNames={{ header: classes.head ?? "" }}
    >
      {isOpen && job === null && (
        <RecoverForm
          kind={kind}
          path={path}
          endpoint={endpoint}
          health={health}
          onCancel={() => close(false)}
          onStarted={setJob}
        />
      )}
      {isOpen && job !== null && <JobProgress job={job} onClose={close} />}
    </Modal>
  );
}
