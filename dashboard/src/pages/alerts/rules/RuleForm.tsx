/** Form of an alert rule: condition, what it looks at, who is told and when. */
import { Button, MultiSelect, NumberInput, TextInput, UnstyledButton } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { type AlertRule, type Channel, createAlertRule, refreshRules, updateAlertRule } from "@/api/alerts";
import { problemOfForm } from "@/api/errors";
import { Banner } from "@/components/feedback/Banner";
import { ActError } from "@/components/feedback/ErrorState";
import { toast } from "@/components/feedback/toast";
import pages from "../../pages.module.css";
import classes from "../alerts.module.css";
import { typeOf } from "../channels/channel-types";
import { ChosenType } from "../TypeChoice";
import { conditionWords } from "./condition-words";
import { ConditionInputs } from "./ConditionInputs";
import { QuietHoursInputs } from "./QuietHoursInputs";
import { changesOf, configOf, type Fields, lackOf, requestOf } from "./rule-fields";
import { hasSubjects, NUMBERS, RULE_TYPES, type RuleType } from "./rule-types";
import { ScopeInputs } from "./ScopeInputs";
import { ScopeName } from "./ScopeName";

const CHANNELS_MAX = 20;
const COOLDOWN_MAX = 43_200;

interface Props {
  rule: AlertRule | undefined;
  type: RuleType;
  before: Fields;
  fields: Fields;
  channels: Channel[];
  onChange: (fields: Fields) => void;
  /** Goes back to the choice of the type; absent for a rule, whose type cannot be changed. */
  onType?: () => void;
  onAddChannel: () => void;
  onDone: () => void;
}

/** Props of a part of the form. */
export interface PartProps {
  type: RuleType;
  fields: Fields;
  set: (changes: Partial<Fields>) => void;
  /** Returns the mark of a field that differs from what the rule has. */
  mark: (read: (fields: Fields) => unknown) => string;
  /** Returns the server's sentence about a field. */
  problemOf: (field: string) => string | undefined;
}

export function RuleForm(props: Props) {
  const { rule, type, before, fields, channels, onChange, onType, onAddChannel, onDone } = props;
  const changes = changesOf(type, fields, before);
  const saving = useMutation({
    mutationFn: () => (rule ? updateAlertRule(rule.id, changes) : createAlertRule(requestOf(type, fields))),
    onSuccess: async () => {
      await refreshRules();
      if (rule) toast("The rule is saved.");
      onDone();
    },
  });
  const shown = [
    "name",
    "description",
    "application_id",
    "endpoint_id",
    "channel_ids",
    "cooldown_minutes",
    "quiet_hours",
    "kinds",
    ...NUMBERS[type].map(({ name }) => name),
  ];
  const found = problemOfForm(saving.error);
  const problem = found !== null && shown.includes(found.field) ? found : null;
  const part: PartProps = {
    type,
    fields,
    set: (changed) => onChange({ ...fields, ...changed }),
    mark: (read) =>
      rule && JSON.stringify(read(fields)) !== JSON.stringify(read(before)) ? " (changed)" : "",
    problemOf: (field) => (problem?.field === field ? problem.text : undefined),
  };
  const { set, mark, problemOf } = part;
  const choice = RULE_TYPES.find((one) => one.value === type);
  const lack = lackOf(type, fields);
  const cannotSave = lack !== null || (rule !== undefined && Object.keys(changes).length === 0);
  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault();
        saving.mutate();
      }}
    >
      {choice && <ChosenType choice={choice} onChange={onType} />}
      <TextInput
        label={`Name${mark((all) => all.name)}`}
        required
        maxLength={100}
        autoFocus
        data-autofocus
        value={fields.name}
        error={problemOf("name")}
        onChange={(event) => set({ name: event.currentTarget.value })}
      />
      <h3 className={classes.part}>Condition</h3>
      <ConditionInputs {...part} />
      {hasSubjects(type) && <ScopeInputs {...part} isNew={rule === undefined} />}
      <p className={classes.sentence} aria-live="polite">
        Fires when: <strong>{conditionWords(type, configOf(type, fields))}</strong>
        {rule && <ScopeName rule={rule} />}.
      </p>
      <h3 className={classes.part}>Notification</h3>
      <div className="stack-small">
        <MultiSelect
          label={`Channels${mark((all) => all.channel_ids)}`}
          placeholder={fields.channel_ids.length === 0 ? "Choose who is told" : undefined}
          data={channels.map((channel) => ({
            value: channel.id,
            label: `${channel.name} · ${typeOf(channel.channel_type).label}`,
          }))}
          maxValues={CHANNELS_MAX}
          searchable
          hidePickedOptions
          nothingFoundMessage="No channel has this name"
          value={fields.channel_ids}
          error={problemOf("channel_ids")}
          onChange={(ids) => set({ channel_ids: ids })}
        />
        <div className={classes.hint}>
          {fields.channel_ids.length === 0 && (
            <span className="ink-2">Without a channel, alerts are on this page only.</span>
          )}
          <UnstyledButton className="link" onClick={onAddChannel}>
            Add a channel
          </UnstyledButton>
        </div>
      </div>
      <NumberInput
        label={`Cooldown${mark((all) => all.cooldown_minutes)}`}
        description="Time after a notification in which the rule tells of no further alerts."
        suffix=" min"
        min={0}
        max={COOLDOWN_MAX}
        step={5}
        allowDecimal={false}
        value={fields.cooldown_minutes}
        error={problemOf("cooldown_minutes")}
        onChange={(value) => set({ cooldown_minutes: value })}
      />
      <QuietHoursInputs {...part} />
      <TextInput
        label={`Description${mark((all) => all.description)}`}
        description="Optional, for your team."
        maxLength={500}
        value={fields.description}
        error={problemOf("description")}
        onChange={(event) => set({ description: event.currentTarget.value })}
      />
      {problem === null ? (
        <ActError error={saving.error} />
      ) : (
        <Banner tone="bad">The rule is not saved: the field that the server refused is marked.</Banner>
      )}
      <div className={pages.dialogActions}>
        {lack !== null && <span className={classes.lack}>{lack}</span>}
        <Button type="submit" variant="filled" loading={saving.isPending} disabled={cannotSave}>
          {rule ? "Save" : "Create rule"}
        </Button>
      </div>
    </form>
  );
}
