/** Banner of the live updates: what was left out, or since when nothing is heard. */
import { Button } from "@mantine/core";
import { type Outage, useLiveTrouble } from "@/api/live";
import { span } from "@/lib/words/durations";
import { counted } from "@/lib/words/numbers";
import { Banner } from "../feedback/Banner";
import { useSeconds } from "../time/ticker";
import classes from "./Page.module.css";

/** An outage is in the top bar at once, and in a banner after this time. */
const BANNER_AFTER_MS = 5000;

export function LiveTrouble() {
  const { dropped, outage, reload } = useLiveTrouble();
  if (outage !== null) return <Stopped outage={outage} />;
  if (dropped === 0) return null;
  return (
    <div className={classes.trouble}>
      <Banner tone="careful" action={<Button onClick={reload}>Reload</Button>}>
        {counted(dropped, "live update was", "live updates were")} left out. Reload to see all.
      </Banner>
    </div>
  );
}

function Stopped({ outage }: { outage: Outage }) {
  const now = useSeconds().getTime();
  if (now - outage.since < BANNER_AFTER_MS) return null;
  const again =
    outage.retryAt === null || outage.retryAt <= now
      ? "Trying again now."
      : `Trying again in ${span((outage.retryAt - now) / 1000)}.`;
  return (
    <div className={classes.trouble}>
      <Banner tone="careful" isSilent>
        Live updates stopped {span((now - outage.since) / 1000)} ago. {again}
      </Banner>
    </div>
  );
}
