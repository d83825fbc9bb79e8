/** Why attempts failed: the most frequent errors of the range. */
import { useQuery } from "@tanstack/react-query";
import { errorsQuery } from "@/api/metrics";
import { ErrorState } from "@/components/feedback/ErrorState";
import { Skeletons } from "@/components/feedback/Skeletons";
import { Card } from "@/components/page/Card";
import type { Range, Windows } from "@/lib/ranges";
import { count, counted, percent } from "@/lib/words/numbers";
import classes from "./Overview.module.css";

const SHOWN = 6;

export function FailureReasons({ range, windows }: { range: Range; windows: Windows }) {
  const errors = useQuery(errorsQuery(windows.now));
  const rows = errors.data?.errors.slice(0, SHOWN) ?? [];
  const most = rows[0]?.count ?? 1;
  const total = errors.data?.total ?? 0;
  return (
    <Card
      title="Why attempts failed"
      aside={errors.data && `${counted(total, "failed attempt")} ${range.noun}`}
    >
      {errors.isError && (
        <ErrorState what="Errors" error={errors.error} onRetry={() => void errors.refetch()} />
      )}
      {errors.isPending && <Skeletons rows={6} height={26} />}
      {errors.isSuccess && rows.length === 0 && (
        <p className={`${classes.sum ?? ""} ink-2`}>No attempt has failed {range.noun}.</p>
      )}
      <div className={classes.list}>
        {rows.map((row) => {
          const word = row.response_status ? `${row.error} ${row.response_status}` : row.error;
          return (
            <div
              key={word}
              className={classes.reason}
              title={`${percent(row.count, total)} of the failed attempts`}
            >
              <code className="cut">{word}</code>
              <span className={classes.bar}>
                <span style={{ width: `${(row.count / most) * 100}%` }} />
              </span>
              <span className="number">{count(row.count)}</span>
            </div>
          );
        })}
      </div>
    </Card>
  );
}
