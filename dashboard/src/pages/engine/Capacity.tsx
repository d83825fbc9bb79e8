/** Who uses the capacity: attempts in flight by application, as one bar. Empty while nothing is in flight. */
import type { Lane } from "@/api/engine";
import { count } from "@/lib/words/numbers";
import classes from "./Queues.module.css";

const SHOWN = 5;
const TONES = ["one", "two", "one", "two", "one"];

interface Share {
  name: string;
  attempts: number;
  tone: string;
}

/** Returns the applications with the most attempts in flight, and the others as one. */
export function sharesOf(lanes: Lane[], nameOf: (lane: Lane) => string): Share[] {
  const sums = new Map<string, { name: string; attempts: number }>();
  for (const lane of lanes.filter((one) => one.in_flight > 0)) {
    const before = sums.get(lane.application_id);
    sums.set(lane.application_id, {
      name: nameOf(lane),
      attempts: (before?.attempts ?? 0) + lane.in_flight,
    });
  }
  const all = [...sums.values()].sort((one, other) => other.attempts - one.attempts);
  const rest = all.slice(SHOWN);
  const shown = all.slice(0, SHOWN).map((one, index) => ({ ...one, tone: TONES[index] ?? "one" }));
  if (rest.length === 0) return shown;
  const attempts = rest.reduce((sum, one) => sum + one.attempts, 0);
  return [...shown, { name: `${rest.length} others`, attempts, tone: "three" }];
}

export function Capacity({ lanes, nameOf }: { lanes: Lane[]; nameOf: (lane: Lane) => string }) {
  const shares = sharesOf(lanes, nameOf);
  return (
    <div className={classes.capacity}>
      <div className="row-wrap between-ends">
        <h2>Who uses the capacity</h2>
        <span className="small ink-3">attempts in flight on the node that answers</span>
      </div>
      <div className={classes.bar} aria-hidden>
        {shares.map((share) => (
          <span key={share.name} data-tone={share.tone} style={{ flexGrow: share.attempts }} />
        ))}
      </div>
      <div className={classes.shares}>
        {shares.length === 0 && <span className="ink-3">Nothing is in flight now.</span>}
        {shares.map((share) => (
          <span key={share.name}>
            <i data-tone={share.tone} /> {share.name}{" "}
            <strong className="name">{count(share.attempts)}</strong>
          </span>
        ))}
      </div>
    </div>
  );
}
