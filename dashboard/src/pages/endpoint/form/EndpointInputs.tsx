/** Inputs of an application's endpoint. */
import { NumberInput, Select, TagsInput, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { eventTypesQuery } from "@/api/event-types";
import { AddressInputs, HeadersInput } from "./CommonInputs";
import type { Fields, InputsProps } from "./fields";

export function EndpointInputs(props: InputsProps) {
  const { fields, set, mark } = props;
  const { data: types = [] } = useQuery(eventTypesQuery);
  return (
    <>
      <AddressInputs {...props} />
      <TagsInput
        label={`Event types${mark("filter_types")}`}
        description="Names, or a group such as invoice.*. Empty means all."
        data={types.map((type) => type.name)}
        value={fields.filter_types}
        onChange={(value) => set("filter_types", value)}
      />
      <NumberInput
        label={`Rate limit${mark("rate_limit_per_second")}`}
        description="Deliveries a second. Empty means no limit."
        min={0}
        allowDecimal={false}
        value={fields.rate_limit_per_second}
        onChange={(value) => set("rate_limit_per_second", value)}
      />
      <Select
        label={`Order${mark("ordering")}`}
        data={[
          { value: "none", label: "None: as fast as the receiver takes them" },
          { value: "strict", label: "Strict: one at a time, in order" },
          { value: "key", label: "By key: in order for each value of a field" },
        ]}
        value={fields.ordering}
        onChange={(value) => set("ordering", (value ?? "none") as Fields["ordering"])}
      />
      {fields.ordering === "key" && (
        <TextInput
          label={`Key${mark("ordering_key")}`}
          placeholder="$.customer_id"
          classNames={{ input: "mono" }}
          required
          value={fields.ordering_key}
          onChange={(event) => set("ordering_key", event.currentTarget.value)}
        />
      )}
      {fields.ordering !== "none" && (
        <Select
          label={`If one fails${mark("on_failure")}`}
          data={[
            { value: "block", label: "Those behind it wait" },
            { value: "skip", label: "Those behind it go on" },
            { value: "park", label: "It steps aside until its retry" },
          ]}
          value={fields.on_failure}
          onChange={(value) => set("on_failure", (value ?? "block") as Fields["on_failure"])}
        />
      )}
      <TagsInput
        label={`Channels${mark("channels")}`}
        description="The endpoint gets only messages that share one. Empty means all messages."
        value={fields.channels}
        onChange={(value) => set("channels", value)}
      />
      <NumberInput
        label={`Timeout in ms${mark("timeout_ms")}`}
        description="Empty means the default of the installation."
        min={1000}
        max={60_000}
        step={1000}
        value={fields.timeout_ms}
        onChange={(value) => set("timeout_ms", value)}
      />
      <TextInput
        label={`Retries after, in seconds${mark("retry_schedule")}`}
        description="Such as 5, 300, 1800. Empty means the default of the installation."
        classNames={{ input: "mono" }}
        value={fields.retry_schedule}
        onChange={(event) => set("retry_schedule", event.currentTarget.value)}
      />
      <HeadersInput {...props} />
      <TextInput
        label={`Uid${mark("uid")}`}
        description="Optional. Your own id of the endpoint."
        classNames={{ input: "mono" }}
        value={fields.uid}
        onChange={(event) => set("uid", event.currentTarget.value)}
      />
    </>
  );
}
