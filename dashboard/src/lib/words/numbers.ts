/** Numbers and sizes as text: locale separators, a narrow space before the unit. */

const NARROW_SPACE = "\u202f";
const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** Returns a count with thousands separators. */
export function count(value: number): string {
  return whole.format(value);
}

/** Returns a large count with three digits at most, for axes and narrow places: `60k`, `1.84M`. */
export function compact(value: number): string {
  return short.format(value).replace("K", "k");
}

/** Returns a count with its noun: `1 endpoint`, `2 endpoints`. */
export function counted(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** Returns a share as percent with two decimals; 100 only for exactly everything. */
export function percent(part: number, total: number): string {
  if (total === 0) return "";
  const share = (part / total) * 100;
  const text = part === total ? "100" : Math.min(share, 99.99).toFixed(2);
  return `${text}${NARROW_SPACE}%`;
}

/** Returns a share that is given in percent; 100 only if it is everything. */
export function percentOf(share: number, isAll = share >= 100): string {
  const text = isAll ? "100" : Math.min(share, 99.99).toFixed(2);
  return `${text}${NARROW_SPACE}%`;
}

/** Returns bytes in powers of 1024 with a unit. */
export function bytes(value: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let size = value;
  let unit = 0;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || size >= 100 ? 0 : 1;
  return `${size.toFixed(digits)}${NARROW_SPACE}${units[unit] ?? ""}`;
}

/** Returns a rate per second. */
export function perSecond(value: number): string {
  return `${value < 10 ? trimmed(value, 1) : count(value)}/s`;
}

/** Returns a number with at most this many decimals, without trailing zeros. */
export function trimmed(value: number, decimals: number): string {
  return String(Number(value.toFixed(decimals)));
}
