/** Reader of the OpenMetrics text that `GET /metrics` answers. */

export interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\})? (\S+)/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/** Returns the samples of a text. Comments, exemplars and lines of another shape are left out. */
export function parseMetrics(text: string): Sample[] {
  return text.split("\n").flatMap((line) => {
    const match = line.startsWith("#") ? null : LINE.exec(line);
    if (match === null) return [];
    const [, name = "", labels = "", number = ""] = match;
    const value = Number(number.replace("+Inf", "Infinity").replace("-Inf", "-Infinity"));
    return [{ name, labels: parseLabels(labels), value }];
  });
}

function parseLabels(text: string): Record<string, string> {
  const pairs = [...text.matchAll(LABEL)].map(
    ([, name = "", value = ""]) => [name, unescape(value)] as const,
  );
  return Object.fromEntries(pairs);
}

function unescape(value: string): string {
  return value.replace(/\\(.)/g, (_, mark: string) => (mark === "n" ? "\n" : mark));
}

/** Returns the sum of the samples with a name and labels; null if there is none. */
export function sumOf(samples: Sample[], name: string, labels: Record<string, string> = {}): number | null {
  const found = samples.filter(
    (sample) =>
      sample.name === name &&
      Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
  );
  return found.length === 0 ? null : found.reduce((sum, { value }) => sum + value, 0);
}

/** Returns a label of a metric that is there once, such as `hookstream_build_info`. */
export function labelOf(samples: Sample[], name: string, label: string): string | null {
  return samples.find((sample) => sample.name === name)?.labels[label] ?? null;
}

/**
 * Returns a quantile of a histogram, interpolated within its bucket as Prometheus does. Null without observations.
 * Infinity stands for a quantile above the last bound.
 */
export function quantileOf(
  samples: Sample[],
  name: string,
  quantile: number,
  labels: Record<string, string> = {},
): number | null {
  const buckets = new Map<number, number>();
  for (const { name: of, labels: own, value } of samples) {
    if (of !== `${name}_bucket`) continue;
    if (!Object.entries(labels).every(([label, wanted]) => own[label] === wanted)) continue;
    const bound = own["le"] === "+Inf" ? Infinity : Number(own["le"]);
    buckets.set(bound, (buckets.get(bound) ?? 0) + value);
  }
  const sorted = [...buckets].sort(([one], [other]) => one - other);
  const total = sorted[sorted.length - 1]?.[1] ?? 0;
  if (total === 0) return null;
  const rank = quantile * total;
  const index = sorted.findIndex(([, below]) => below >= rank);
  const [bound = Infinity, upTo = total] = sorted[index] ?? [];
  const [start = 0, before = 0] = sorted[index - 1] ?? [];
  if (bound === Infinity || upTo === before) return bound;
  return start + (bound - start) * ((rank - before) / (upTo - before));
}
