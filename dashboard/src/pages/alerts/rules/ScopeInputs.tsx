/** What a rule looks at: the environment, an application or an endpoint, as one or one by one. */
import { Input, SegmentedControl, Select } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { applicationChoicesQuery } from "@/api/applications";
import { endpointsQuery, nameOf } from "@/api/endpoints";
import { perWithin } from "./rule-fields";
import type { Per } from "./rule-types";
import type { PartProps } from "./RuleForm";

const SCOPES: { value: Per; label: string }[] = [
  { value: "environment", label: "Whole environment" },
  { value: "application", label: "One application" },
  { value: "endpoint", label: "One endpoint" },
];

export function ScopeInputs(props: PartProps & { isNew: boolean }) {
  const { fields, set, mark, isNew } = props;
  const choices: { value: Per; label: string }[] = [
    { value: "environment", label: "As one" },
    ...(fields.scope === "environment" ? [{ value: "application" as const, label: "Each application" }] : []),
    { value: "endpoint", label: "Each endpoint" },
  ];
  return (
    <>
      {isNew && (
        <Input.Wrapper
          label="Looks at"
          labelElement="div"
          description="Cannot be changed later."
          inputWrapperOrder={["label", "input", "description", "error"]}
        >
          <SegmentedControl
            aria-label="Looks at"
            fullWidth
            data={SCOPES}
            value={fields.scope}
            onChange={(value) => set({ scope: value as Per, endpoint_id: null })}
          />
        </Input.Wrapper>
      )}
      {isNew && fields.scope !== "environment" && <ApplicationInput {...props} />}
      {isNew && fields.scope === "endpoint" && fields.application_id !== null && (
        <EndpointInput {...props} appId={fields.application_id} />
      )}
      {fields.scope !== "endpoint" && (
        <Input.Wrapper label={`Measured${mark((all) => all.per)}`} labelElement="div">
          <SegmentedControl
            aria-label="Measured"
            fullWidth
            data={choices}
            value={perWithin(fields)}
            onChange={(value) => set({ per: value as Per })}
          />
        </Input.Wrapper>
      )}
    </>
  );
}

function ApplicationInput({ fields, set, problemOf }: PartProps) {
  const [text, setText] = useState("");
  const [asked] = useDebouncedValue(text, 150);
  const [chosen, setChosen] = useState<{ value: string; label: string } | null>(null);
  // The name of the chosen one is no search.
  const { data = [] } = useQuery(applicationChoicesQuery(asked === chosen?.label ? "" : asked));
  const found = data.map((one) => ({ value: one.id, label: one.name }));
  const choices =
    chosen === null || found.some((one) => one.value === chosen.value) ? found : [chosen, ...found];
  return (
    <Select
      label="Application"
      required
      withAsterisk={false}
      searchable
      placeholder="Choose an application"
      nothingFoundMessage="No application has this name"
      data={choices}
      value={fields.application_id}
      error={problemOf("application_id")}
      onSearchChange={setText}
      onChange={(id) => {
        setChosen(choices.find((one) => one.value === id) ?? null);
        set({ application_id: id, endpoint_id: null });
      }}
    />
  );
}

function EndpointInput({ appId, fields, set, problemOf }: PartProps & { appId: string }) {
  const { data } = useQuery(endpointsQuery(appId));
  return (
    <Select
      label="Endpoint"
      required
      withAsterisk={false}
      searchable
      placeholder="Choose an endpoint"
      nothingFoundMessage={data ? "The application has no such endpoint" : "Loading"}
      data={(data?.endpoints ?? []).map((one) => ({ value: one.id, label: nameOf(one) }))}
      value={fields.endpoint_id}
      error={problemOf("endpoint_id")}
      onChange={(id) => set({ endpoint_id: id })}
    />
  );
}
