/** Difference of two objects, field by field, for the audit log. */

export interface DiffLine {
  kind: "same" | "removed" | "added";
  text: string;
}

/** Returns the lines of both sides: what was removed or added, in the order of the fields. */
export function diffOf(
  before: Record<string, unknown> | null,
  after: Record<string, unknown> | null,
): DiffLine[] {
  const keys = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])];
  return keys.flatMap((key): DiffLine[] => {
    const [was, is] = [before?.[key], after?.[key]].map((value) =>
      value === undefined ? null : JSON.stringify(value),
    );
    const line = (value: string) => `${JSON.stringify(key)}: ${value}`;
    if (was === is && was !== null && was !== undefined) return [{ kind: "same", text: line(was) }];
    const lines: DiffLine[] = [];
    if (was !== null && was !== undefined) lines.push({ kind: "removed", text: line(was) });
    if (is !== null && is !== undefined) lines.push({ kind: "added", text: line(is) });
    return lines;
  });
}
