/** Quiet hours of a rule: a part of each day, in a time zone, in which it tells nothing. */
import { Checkbox, Input, Select, TextInput } from "@mantine/core";
import { useMemo } from "react";
import classes from "../alerts.module.css";
import type { PartProps } from "./RuleForm";

export function QuietHoursInputs({ fields, set, mark, problemOf }: PartProps) {
  const zones = useMemo(() => [...new Set([fields.quietZone, ...timeZones()])].sort(), [fields.quietZone]);
  const problem = problemOf("quiet_hours");
  return (
    <div className="stack-small">
      <Checkbox
        label={`Quiet hours${mark((all) => all.isQuiet)}`}
        description="A part of the day in which the rule holds everything back. What still lasts at its end is told then."
        checked={fields.isQuiet}
        onChange={(event) => set({ isQuiet: event.currentTarget.checked })}
      />
      {fields.isQuiet && (
        <div className={classes.quiet}>
          <TextInput
            type="time"
            label={`From${mark((all) => all.quietFrom)}`}
            required
            withAsterisk={false}
            value={fields.quietFrom}
            onChange={(event) => set({ quietFrom: event.currentTarget.value })}
          />
          <TextInput
            type="time"
            label={`To${mark((all) => all.quietTo)}`}
            required
            withAsterisk={false}
            value={fields.quietTo}
            onChange={(event) => set({ quietTo: event.currentTarget.value })}
          />
          <Select
            label={`Time zone${mark((all) => all.quietZone)}`}
            searchable
            limit={60}
            nothingFoundMessage="No time zone has this name"
            data={zones}
            value={fields.quietZone}
            onChange={(zone) => set({ quietZone: zone ?? "UTC" })}
          />
        </div>
      )}
      {problem !== undefined && <Input.Error role="alert">{problem}</Input.Error>}
    </div>
  );
}

/** Names of the IANA time zone database that the browser knows. */
function timeZones(): string[] {
  return ["UTC", ...(Intl.supportedValuesOf?.("timeZone") ?? [])];
}
