/** Part of a page that did not load: what, why, the request id, and a way on. */
import { Button } from "@mantine/core";
import { IconAlertTriangle } from "@tabler/icons-react";
import { ApiError, sentenceOf } from "@/api/errors";
import { IdCopy } from "../status/IdCopy";
import classes from "./feedback.module.css";

interface Props {
  /** What did not load: `Attempts`. */
  what: string;
  error: unknown;
  onRetry?: () => void;
}

export function ErrorState({ what, error, onRetry }: Props) {
  const requestId = error instanceof ApiError ? error.requestId : null;
  return (
    <div className={classes.error} role="alert">
      <IconAlertTriangle size={18} stroke={1.8} />
      <div className="stack-small">
        <div>
          <h3>{what} did not load</h3>
          <p className="small ink-2">{sentenceOf(error)}</p>
        </div>
        <div className="row-wrap">
          {onRetry && <Button onClick={onRetry}>Try again</Button>}
          {requestId !== null && (
            <span className="row small ink-3">
              Request <IdCopy value={requestId} isFull label="request id" />
            </span>
          )}
        </div>
      </div>
    </div>
  );
}

/** Error of an act, in the dialog or form that made it. */
export function ActError({ error }: { error: unknown }) {
  if (error === null || error === undefined) return null;
  const requestId = error instanceof ApiError ? error.requestId : null;
  return (
    <div className={classes.actError} role="alert">
      <IconAlertTriangle size={15} stroke={1.8} />
      <span>
        {sentenceOf(error)}
        {requestId !== null && <span className="mono"> {requestId}</span>}
      </span>
    </div>
  );
}
