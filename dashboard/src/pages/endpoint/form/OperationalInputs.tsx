/** Inputs of an operational endpoint: its address, its events with a sentence about each, and its headers. */
import { SegmentedControl } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { operationalEventTypesQuery } from "@/api/operational";
import { ErrorState } from "@/components/feedback/ErrorState";
import { Skeletons } from "@/components/feedback/Skeletons";
import { AddressInputs, HeadersInput } from "./CommonInputs";
import { EventChoice } from "./EventChoice";
import type { InputsProps } from "./fields";
import classes from "./EventChoice.module.css";

interface Props extends InputsProps {
  /** Says why the form cannot be sent, or that it can. */
  onProblem: (problem: string | null) => void;
}

/** Events that a choice begins with: those that a person should act on. */
const SUGGESTED = [
  "endpoint.disabled",
  "endpoint.failing",
  "message.attempt.exhausted",
  "quota.*",
  "node.lost",
];

export function OperationalInputs({ onProblem, ...inputs }: Props) {
  const { fields, set, mark } = inputs;
  const types = useQuery(operationalEventTypesQuery);
  const [isAll, setAll] = useState(fields.filter_types.length === 0);
  const choose = (names: string[], hasAll: boolean) => {
    setAll(hasAll);
    set("filter_types", names);
    onProblem(hasAll || names.length > 0 ? null : "Choose an event, or all of them.");
  };
  const isEmpty = !isAll && fields.filter_types.length === 0;
  return (
    <>
      <AddressInputs {...inputs} />
      <div className="stack-small">
        <div className={classes.head}>
          <span className={classes.label} id="events-label">
            Events{mark("filter_types")}
          </span>
          <SegmentedControl
            aria-labelledby="events-label"
            value={isAll ? "all" : "chosen"}
            onChange={(value) => choose(value === "all" ? [] : SUGGESTED, value === "all")}
            data={[
              { value: "all", label: "All events" },
              { value: "chosen", label: "Chosen events" },
            ]}
          />
        </div>
        {isAll && <p className="small ink-2">Every event of the environment, later types included.</p>}
        {!isAll && types.isError && (
          <ErrorState what="Event types" error={types.error} onRetry={() => void types.refetch()} />
        )}
        {!isAll && types.isPending && <Skeletons rows={6} />}
        {!isAll && types.data && (
          <EventChoice
            types={types.data}
            choice={fields.filter_types}
            onChange={(names) => choose(names, false)}
          />
        )}
        {isEmpty && (
          <p className={classes.problem} role="alert">
            Choose an event, or all of them.
          </p>
        )}
      </div>
      <HeadersInput {...inputs} />
    </>
  );
}
