/** Points in time as text. Every function takes `now`, so that it is pure. */
import { span } from "./durations";

const DAY_MS = 86_400_000;

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const seconds = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const date = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const dateWithYear = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });
const utc = new Intl.DateTimeFormat("en-GB", {
  day: "numeric",
  month: "short",
  year: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  timeZone: "UTC",
});
const zone = new Intl.DateTimeFormat("en-GB", { timeZoneName: "short" });

/** Returns how long ago a time was: `14 s ago`, `48 min ago`, `yesterday, 17:02`, `12 Nov, 17:02`. */
export function ago(time: Date, now: Date): string {
  const ms = now.getTime() - time.getTime();
  if (ms < 1000 && ms > -60_000) return "now";
  if (ms < 0) return calendar(time, now);
  if (ms < 60_000) return `${span(Math.floor(ms / 1000))} ago`;
  if (ms < DAY_MS) return `${largest(ms)} ago`;
  return calendar(time, now);
}

/** Returns how long something lasts: `41 s`, `48 min`, `2 h 32 min`. From the second minute on, seconds are left out. */
export function lasting(since: Date, now: Date): string {
  const seconds = Math.max(0, (now.getTime() - since.getTime()) / 1000);
  return span(seconds < 120 ? seconds : Math.floor(seconds / 60) * 60);
}

/** Returns how long until a time: `in 41 s`, `in 2 min 06 s`; `due now` once it has passed. */
export function until(time: Date, now: Date): string {
  const left = Math.ceil((time.getTime() - now.getTime()) / 1000);
  return left <= 0 ? "due now" : `in ${span(left)}`;
}

/** Returns a time by the calendar: `17:02` today, `yesterday, 17:02`, `12 Nov, 17:02`, with the year of another year. */
export function calendar(time: Date, now: Date): string {
  const days = Math.round((startOfDay(now) - startOfDay(time)) / DAY_MS);
  if (days === 0) return clock.format(time);
  if (days === 1) return `yesterday, ${clock.format(time)}`;
  if (days === -1) return `tomorrow, ${clock.format(time)}`;
  const day = time.getFullYear() === now.getFullYear() ? date.format(time) : dateWithYear.format(time);
  return `${day}, ${clock.format(time)}`;
}

/** Returns a time of day with seconds, and with milliseconds if asked. */
export function timeOfDay(time: Date, withMilliseconds = false): string {
  const text = seconds.format(time);
  return withMilliseconds ? `${text}.${String(time.getMilliseconds()).padStart(3, "0")}` : text;
}

/** Returns a day: `12 Nov 2026`. */
export function day(time: Date): string {
  return dateWithYear.format(time);
}

/** Returns the label of a step on an axis that spans these milliseconds: a time of day, or a day. */
export function stepLabel(time: Date, spanMs: number): string {
  return spanMs > 2 * DAY_MS ? date.format(time) : clock.format(time);
}

/** Returns the time in UTC, for text that leaves the page: `29 Nov 2026, 13:44 UTC`. */
export function exactUtc(time: Date): string {
  return `${utc.format(time)} UTC`;
}

/** Returns the exact time in the viewer's zone and in UTC. */
export function exact(time: Date): string {
  const name = zone.formatToParts(time).find((part) => part.type === "timeZoneName")?.value ?? "";
  const local = `${dateWithYear.format(time)}, ${timeOfDay(time, true)} ${name}`;
  return name === "UTC" ? local : `${local}\n${time.toISOString()}`;
}

function largest(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 60) return span(minutes * 60);
  const hours = Math.floor(minutes / 60);
  // The first hours keep their minutes: a failure since two hours and a half is not one since two.
  return span(hours < 6 ? minutes * 60 : hours * 3600);
}

function startOfDay(time: Date): number {
  return new Date(time.getFullYear(), time.getMonth(), time.getDate()).getTime();
}
