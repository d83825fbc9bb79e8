/** Form of a notification channel: its name, and the settings of its type. */
import { Button, PasswordInput, Select, TagsInput, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { type Channel, createChannel, refreshChannels, updateChannel } from "@/api/alerts";
import type { Schemas } from "@/api/client";
import { problemOfForm } from "@/api/errors";
import { ActError } from "@/components/feedback/ErrorState";
import { toast } from "@/components/feedback/toast";
import pages from "../../pages.module.css";
import { ChosenType } from "../TypeChoice";
import { addressesOf, changesOf, fieldsOf, hiddenOf, newFields, requestOf } from "./channel-fields";
import { type ChannelType, PAGERDUTY_REGIONS, type SettingField, SETTINGS, typeOf } from "./channel-types";

interface Props {
  type: ChannelType;
  channel?: Channel;
  onChanged: (isChanged: boolean) => void;
  /** Goes back to the choice of the type; absent for a channel, whose type cannot be changed. */
  onType?: () => void;
  onDone: (answer: Schemas["ChannelAnswer"]) => void;
}

export function ChannelForm({ type, channel, onChanged, onType, onDone }: Props) {
  const [before] = useState(() => (channel ? fieldsOf(channel) : newFields(type, typeOf(type).label)));
  const [fields, setFields] = useState(before);
  const changes = changesOf(fields, before);
  const isChanged = Object.keys(changes).length > 0;
  const saving = useMutation({
    mutationFn: () => (channel ? updateChannel(channel.id, changes) : createChannel(requestOf(type, fields))),
    onSuccess: async (answer) => {
      await refreshChannels();
      if (channel) toast("The channel is saved.");
      onDone(answer);
    },
  });
  const change = (next: typeof fields) => {
    setFields(next);
    onChanged(Object.keys(changesOf(next, before)).length > 0);
  };
  const settings = SETTINGS[type].filter((field) => !field.isOnlyNew || channel === undefined);
  const hidden = channel ? hiddenOf(channel) : [];
  const found = problemOfForm(saving.error);
  const isShown = found !== null && ["name", ...settings.map(({ name }) => name)].includes(found.field);
  const problemOf = (field: string) => (isShown && found.field === field ? found.text : undefined);
  const mark = (isDifferent: boolean) => (channel && isDifferent ? " (changed)" : "");
  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault();
        saving.mutate();
      }}
    >
      <ChosenType choice={typeOf(type)} onChange={onType} />
      <TextInput
        label={`Name${mark(fields.name !== before.name)}`}
        required
        maxLength={100}
        value={fields.name}
        error={problemOf("name")}
        onChange={(event) => change({ ...fields, name: event.currentTarget.value })}
      />
      {settings.map((field, index) => (
        <Setting
          key={field.name}
          field={field}
          isFirst={index === 0}
          isHidden={hidden.includes(field.name)}
          mark={mark(fields.settings[field.name] !== before.settings[field.name])}
          value={fields.settings[field.name] ?? ""}
          problem={problemOf(field.name)}
          onChange={(value) => change({ ...fields, settings: { ...fields.settings, [field.name]: value } })}
        />
      ))}
      {!isShown && <ActError error={saving.error} />}
      <div className={pages.dialogActions}>
        <Button
          type="submit"
          variant="filled"
          loading={saving.isPending}
          disabled={channel !== undefined && !isChanged}
        >
          {channel ? "Save" : "Add channel"}
        </Button>
      </div>
    </form>
  );
}

interface SettingProps {
  field: SettingField;
  isFirst: boolean;
  /** True if the channel has a value that is not shown. */
  isHidden: boolean;
  mark: string;
  value: string;
  problem: string | undefined;
  onChange: (value: string) => void;
}

function Setting({ field, isFirst, isHidden, mark, value, problem, onChange }: SettingProps) {
  const isRequired = !isHidden && field.isOptional !== true;
  const shared = {
    label: `${field.label}${mark}`,
    description: isHidden ? `${field.description} Empty keeps the value that is set.` : field.description,
    error: problem,
    ...(isFirst ? { autoFocus: true, "data-autofocus": true } : {}),
  };
  const placeholder = isHidden ? "••••••••" : field.placeholder;
  if (field.kind === "region") {
    const isOther = PAGERDUTY_REGIONS.every((region) => region.value !== value);
    return (
      <Select
        {...shared}
        data={isOther ? [...PAGERDUTY_REGIONS, { value, label: value }] : PAGERDUTY_REGIONS}
        value={value}
        onChange={(next) => onChange(next ?? "")}
      />
    );
  }
  if (field.kind === "addresses") {
    const addresses = addressesOf(value);
    return (
      <TagsInput
        {...shared}
        placeholder={addresses.length === 0 ? placeholder : undefined}
        splitChars={[",", " ", ";"]}
        acceptValueOnBlur
        maxTags={20}
        value={addresses}
        onChange={(next) => onChange(next.join(","))}
      />
    );
  }
  const input = {
    ...shared,
    placeholder,
    required: isRequired,
    value,
    autoComplete: "off",
    classNames: { input: "mono" },
    onChange: (event: React.ChangeEvent<HTMLInputElement>) => onChange(event.currentTarget.value),
  };
  if (field.kind === "secret") return <PasswordInput {...input} autoComplete="new-password" />;
  return <TextInput {...input} type={field.kind === "url" ? "url" : "text"} />;
}
