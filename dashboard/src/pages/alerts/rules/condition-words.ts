/** Condition of a rule as a sentence: `At least 10 % of attempts fail within 15 min, per endpoint`. */
import { duration, span } from "@/lib/words/durations";
import { count, counted, trimmed } from "@/lib/words/numbers";
import { labelOfType, PROBLEM_KINDS } from "./rule-types";

type Config = Record<string, unknown>;

/** Returns the condition of a type with these fields of `rule_config`. */
export function conditionWords(type: string, config: Config): string {
  const number = (name: string) => Number(config[name] ?? 0);
  const window = span(number("window_minutes") * 60);
  switch (type) {
    case "failure_rate":
      return `At least ${percent(number("threshold"))} of attempts fail within ${window}${per(config)}`;
    case "latency":
      return `p${trimmed(number("percentile_target"), 2)} of the latency is ${duration(number("threshold_ms"))} or more within ${window}${per(config)}`;
    case "volume_drop":
      return `At least ${percent(number("threshold"))} fewer messages within ${window} than a day before${per(config)}`;
    case "dlq":
      return exhausted(number("threshold"), number("within_days"));
    case "backlog_age":
      return `The oldest pending delivery waits ${span(number("threshold_minutes") * 60)} or longer${per(config)}`;
    case "disk_forecast":
      return `Storage is full within ${counted(number("threshold_days"), "day")}`;
    case "problem":
      return problems(config);
    default:
      return labelOfType(type);
  }
}

/** Returns a share in percent: `10 %`, `0.5 %`. */
export function percent(share: number): string {
  return `${trimmed(share * 100, 2)}\u202f%`;
}

function per(config: Config): string {
  return config["per"] === "application" || config["per"] === "endpoint" ? `, per ${config["per"]}` : "";
}

function exhausted(threshold: number, days: number): string {
  const since = days === 1 ? "of today" : `of the last ${count(days)} days`;
  return threshold === 1
    ? `A delivery ${since} is exhausted`
    : `At least ${count(threshold)} deliveries ${since} are exhausted`;
}

function problems(config: Config): string {
  const kinds = Array.isArray(config["kinds"]) ? config["kinds"].map(String) : [];
  const names = kinds.map((kind) => PROBLEM_KINDS.find((one) => one.value === kind)?.label ?? kind);
  const subject = names.length === 0 ? "Any problem" : capitalized(names);
  const severity = config["severity"];
  if (severity === "critical") return names.length === 0 ? "Any critical problem" : `${subject}, if critical`;
  return severity === "notice" ? subject : `${subject}, warning or worse`;
}

/** Returns names as a list of which only the first begins with a capital: `Circuit open or disk full`. */
function capitalized(names: string[]): string {
  const [first = "", ...rest] = names;
  const others = rest.map((name) => name.charAt(0).toLowerCase() + name.slice(1));
  const last = others.pop();
  return last === undefined ? first : `${[first, ...others].join(", ")} or ${last}`;
}
