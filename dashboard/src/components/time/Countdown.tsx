/** Time until something is due. At zero it says so, and after five seconds without news that it is checking. */
import { until } from "@/lib/words/times";
import { ExactOnHover } from "./RelativeTime";
import { useSeconds } from "./ticker";
import classes from "./time.module.css";

const CHECKING_AFTER_MS = 5000;

export function Countdown({ to }: { to: string }) {
  const now = useSeconds();
  const due = new Date(to);
  const isLate = now.getTime() - due.getTime() > CHECKING_AFTER_MS;
  return (
    <ExactOnHover value={to}>
      <span role="timer" aria-live="off" className={classes.time}>
        {isLate ? "checking" : until(due, now)}
      </span>
    </ExactOnHover>
  );
}
