/** Health of an application: that of its endpoints, added up. */
import type { ListedEndpoint } from "@/api/endpoints";
import { bucketsOf, type HealthBucket } from "@/components/data/health";
import { endpointState, type State, type Tone } from "@/components/status/states";

export interface ApplicationHealth {
  endpoints: number;
  /** Worst state of the endpoints, with the part that it concerns; null without endpoints. */
  state: State | null;
  due: number;
  arrived: number;
  pending: number;
  buckets: HealthBucket[];
}

const ORDER: Tone[] = ["bad", "careful", "accent", "idle", "good"];

/** Returns the health by application. */
export function healthByApplication(endpoints: ListedEndpoint[]): Map<string, ApplicationHealth> {
  const groups = new Map<string, ListedEndpoint[]>();
  for (const one of endpoints)
    groups.set(one.application_id, [...(groups.get(one.application_id) ?? []), one]);
  return new Map([...groups].map(([id, own]) => [id, healthOf(own)]));
}

export function healthOf(endpoints: ListedEndpoint[]): ApplicationHealth {
  const sum = (numbers: number[]) => numbers.reduce((total, one) => total + one, 0);
  return {
    endpoints: endpoints.length,
    state: worstOf(endpoints.map(endpointState)),
    due: sum(endpoints.map((one) => sum(one.health.due))),
    arrived: sum(endpoints.map((one) => sum(one.health.arrived))),
    pending: sum(endpoints.map((one) => one.health.pending)),
    buckets: addedUp(endpoints.map((one) => bucketsOf(one.health))),
  };
}

function worstOf(states: State[]): State | null {
  const worst = [...states].sort((one, other) => ORDER.indexOf(one.tone) - ORDER.indexOf(other.tone))[0];
  if (worst === undefined) return null;
  if (worst.tone === "good" || states.length === 1) return worst;
  const part = states.filter((one) => one.word === worst.word).length;
  return { ...worst, word: `${part} of ${states.length} ${worst.word.toLowerCase()}` };
}

function addedUp(strips: HealthBucket[][]): HealthBucket[] {
  const first = strips[0] ?? [];
  return first.map((bucket, index) => ({
    ...bucket,
    due: strips.reduce((sum, strip) => sum + (strip[index]?.due ?? 0), 0),
    arrived: strips.reduce((sum, strip) => sum + (strip[index]?.arrived ?? 0), 0),
  }));
}
