/** Inputs that endpoints of applications and operational endpoints share. */
import { Textarea, TextInput } from "@mantine/core";
import type { InputsProps } from "./fields";

export function AddressInputs({ fields, set, mark }: InputsProps) {
  return (
    <>
      <TextInput
        label={`URL${mark("url")}`}
        type="url"
        required
        data-autofocus
        placeholder="https://hooks.example.com/webhooks"
        value={fields.url}
        onChange={(event) => set("url", event.currentTarget.value)}
      />
      <TextInput
        label={`Description${mark("description")}`}
        value={fields.description}
        onChange={(event) => set("description", event.currentTarget.value)}
      />
    </>
  );
}

export function HeadersInput({ fields, set, mark, hasHeaders }: InputsProps) {
  return (
    <Textarea
      label={`Headers${mark("headers")}`}
      description={
        hasHeaders
          ? "Replaces the headers that are set; their values are not shown. Empty keeps them."
          : "One a line, such as authorization: Bearer …"
      }
      autosize
      minRows={2}
      classNames={{ input: "mono" }}
      value={fields.headers}
      onChange={(event) => set("headers", event.currentTarget.value)}
    />
  );
}
