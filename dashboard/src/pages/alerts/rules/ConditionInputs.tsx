/** Fields of a rule's condition: the numbers of its type, or the problems that count. */
import { MultiSelect, NumberInput, Select } from "@mantine/core";
import classes from "../alerts.module.css";
import { NUMBERS, PROBLEM_KINDS } from "./rule-types";
import type { PartProps } from "./RuleForm";

export function ConditionInputs(props: PartProps) {
  const { type, fields, set, mark, problemOf } = props;
  if (type === "problem") return <ProblemInputs {...props} />;
  return (
    <div className={classes.numbers}>
      {NUMBERS[type].map((field) => (
        <NumberInput
          key={field.name}
          label={`${field.label}${mark((all) => all.numbers[field.name])}`}
          inputWrapperOrder={["label", "input", "description", "error"]}
          description={field.description}
          required
          withAsterisk={false}
          min={field.min}
          max={field.max}
          {...(field.step === undefined ? {} : { step: field.step })}
          {...(field.prefix === undefined ? {} : { prefix: field.prefix })}
          {...(field.suffix === undefined ? {} : { suffix: field.suffix })}
          allowDecimal={field.isShare === true || field.name === "percentile_target"}
          decimalScale={2}
          thousandSeparator=","
          value={fields.numbers[field.name] ?? ""}
          error={problemOf(field.name)}
          onChange={(value) => set({ numbers: { ...fields.numbers, [field.name]: value } })}
        />
      ))}
    </div>
  );
}

function ProblemInputs({ fields, set, mark, problemOf }: PartProps) {
  return (
    <>
      <Select
        label={`Severity${mark((all) => all.severity)}`}
        data={[
          { value: "critical", label: "Critical only: deliveries do not arrive" },
          { value: "warning", label: "Warning or worse" },
          { value: "notice", label: "Every problem, forecasts included" },
        ]}
        value={fields.severity}
        onChange={(value) => set({ severity: value ?? "warning" })}
      />
      <MultiSelect
        label={`Kinds${mark((all) => all.kinds)}`}
        description="Empty means all kinds, later ones included."
        placeholder={fields.kinds.length === 0 ? "All kinds" : undefined}
        data={PROBLEM_KINDS}
        searchable
        hidePickedOptions
        value={fields.kinds}
        error={problemOf("kinds")}
        onChange={(kinds) => set({ kinds })}
      />
    </>
  );
}
