/** Drawer that creates or changes an alert rule. A channel that is missing is added without leaving it. */
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { type AlertRule, type Channel, channelsQuery } from "@/api/alerts";
import { ErrorState } from "@/components/feedback/ErrorState";
import { FormDrawer } from "@/components/feedback/FormDrawer";
import { Skeletons } from "@/components/feedback/Skeletons";
import { NewChannel } from "../channels/NewChannel";
import { TypeChoice } from "../TypeChoice";
import { type Fields, fieldsOf, newFields } from "./rule-fields";
import { RuleForm } from "./RuleForm";
import { RULE_TYPES, type RuleType } from "./rule-types";

interface Props {
  isOpen: boolean;
  onClose: () => void;
  rule?: AlertRule | undefined;
}

export function RuleDrawer({ isOpen, onClose, rule }: Props) {
  return (
    <FormDrawer
      isOpen={isOpen}
      onClose={onClose}
      title={rule ? "Edit the rule" : "Create a rule"}
      unsaved={rule ? "The rule stays as it was." : "The rule is not created."}
    >
      {(form) => <Loading rule={rule} {...form} />}
    </FormDrawer>
  );
}

interface FormProps {
  rule: AlertRule | undefined;
  onChanged: (isChanged: boolean) => void;
  onDone: () => void;
}

/** Waits for the channels: the form begins with those that are known. */
function Loading(props: FormProps) {
  const channels = useQuery(channelsQuery);
  if (channels.data) return <Body {...props} channels={channels.data} />;
  if (channels.isError)
    return <ErrorState what="Channels" error={channels.error} onRetry={() => void channels.refetch()} />;
  return <Skeletons rows={5} />;
}

function Body({ rule, channels, onChanged, onDone }: FormProps & { channels: Channel[] }) {
  const timeZone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const [type, setType] = useState((rule?.rule_type ?? null) as RuleType | null);
  const [before, setBefore] = useState(() =>
    rule
      ? fieldsOf(
          rule,
          channels.map(({ id }) => id),
          timeZone,
        )
      : null,
  );
  const [fields, setFields] = useState(before);
  const [isAdding, setAdding] = useState(false);
  const choose = (next: RuleType) => {
    // The only channel is the one that people mean.
    const first = newFields(next, channels.length === 1 ? channels.map(({ id }) => id) : [], timeZone);
    setType(next);
    setBefore(first);
    setFields(first);
  };
  if (type === null || fields === null || before === null)
    return <TypeChoice label="Type of the rule" choices={RULE_TYPES} onChoose={choose} />;
  const change = (next: Fields) => {
    setFields(next);
    onChanged(JSON.stringify(next) !== JSON.stringify(before));
  };
  return (
    <>
      <div hidden={isAdding}>
        <RuleForm
          rule={rule}
          type={type}
          before={before}
          fields={fields}
          channels={channels}
          onChange={change}
          onAddChannel={() => setAdding(true)}
          onDone={onDone}
          {...(rule ? {} : { onType: () => setType(null) })}
        />
      </div>
      {isAdding && (
        <NewChannel
          onChanged={() => onChanged(true)}
          onBack={() => setAdding(false)}
          onDone={(channel) => {
            setAdding(false);
            change({ ...fields, channel_ids: [...fields.channel_ids, channel.id] });
          }}
        />
      )}
    </>
  );
}
