/** Card of a notification channel: where it leads, how it went, and its test with the result in place. */
import { Button, Switch } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { IconCircleCheckFilled, IconCircleXFilled } from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { type AlertRule, type Channel, refreshChannels, testChannel, updateChannel } from "@/api/alerts";
import { sentenceOf } from "@/api/errors";
import { toast } from "@/components/feedback/toast";
import { Card, Facts } from "@/components/page/Card";
import { plainState } from "@/components/status/states";
import { StatusBadge } from "@/components/status/StatusBadge";
import { RelativeTime } from "@/components/time/RelativeTime";
import { splitError } from "@/lib/words/errors";
import { counted } from "@/lib/words/numbers";
import classes from "../alerts.module.css";
import { addressWords } from "./channel-fields";
import { typeOf } from "./channel-types";

interface Props {
  channel: Channel;
  /** Rules that tell it. */
  rules: AlertRule[];
  mayWrite: boolean;
  onEdit: () => void;
  onDelete: () => void;
}

export function ChannelCard({ channel, rules, mayWrite, onEdit, onDelete }: Props) {
  const { label, icon: Icon } = typeOf(channel.channel_type);
  const turning = useMutation({
    mutationFn: (isOn: boolean) => updateChannel(channel.id, { enabled: isOn ? 1 : 0 }),
    onError: (error) => toast(sentenceOf(error)),
    onSettled: refreshChannels,
  });
  const testing = useMutation({ mutationFn: () => testChannel(channel.id), onSettled: refreshChannels });
  const isOn = channel.enabled === 1;
  return (
    <Card
      title={
        <span className="row">
          <Icon size={17} stroke={1.7} />
          <span className="cut">{channel.name}</span>
        </span>
      }
      aside={
        mayWrite ? (
          <Switch
            label={isOn ? "Enabled" : "Disabled"}
            labelPosition="left"
            aria-label={`${channel.name} is enabled`}
            checked={turning.isPending ? turning.variables : isOn}
            disabled={turning.isPending}
            onChange={(event) => turning.mutate(event.currentTarget.checked)}
          />
        ) : (
          <StatusBadge state={plainState(isOn ? "active" : "disabled")} />
        )
      }
    >
      <Facts
        facts={[
          ["Type", label],
          ["Leads to", <code key="address">{addressWords(channel)}</code>],
          ["Told by", <RuleNames key="rules" rules={rules} />],
          [
            "Last sent",
            channel.last_sent_at ? (
              <RelativeTime key="sent" value={channel.last_sent_at} />
            ) : (
              <span className="ink-3">nothing yet</span>
            ),
          ],
          ["Errors since", channel.error_count === 0 ? "none" : <Errors key="errors" channel={channel} />],
        ]}
      />
      {mayWrite && (
        <div className={classes.channelFoot}>
          <div className="row">
            <Button
              aria-label={`Test ${channel.name}`}
              loading={testing.isPending}
              disabled={!isOn}
              onClick={() => testing.mutate()}
            >
              Test
            </Button>
            <Button aria-label={`Edit ${channel.name}`} onClick={onEdit}>
              Edit
            </Button>
            <Button aria-label={`Delete ${channel.name}…`} onClick={onDelete}>
              Delete…
            </Button>
          </div>
          <div role="status" className={classes.test}>
            {!isOn && <Result>Disabled: it is told nothing.</Result>}
            {isOn && testing.isPending && <Result>Sending a test. The answer may take 9 s.</Result>}
            {isOn && testing.isError && <Result tone="bad">{sentenceOf(testing.error)}</Result>}
            {isOn && testing.data?.success === true && (
              <Result tone="good">
                The test arrived: {channel.channel_type === "webhook" ? "your program" : label} accepted it.
              </Result>
            )}
            {isOn && testing.data?.success === false && (
              <Result tone="bad">
                The test failed. <ErrorWords error={testing.data.error ?? ""} />
              </Result>
            )}
          </div>
        </div>
      )}
    </Card>
  );
}

function Errors({ channel }: { channel: Channel }) {
  return (
    <span className={classes.errors}>
      <span className="name">{counted(channel.error_count, "failed attempt")}</span>
      {channel.last_error && <ErrorWords error={channel.last_error} />}
    </span>
  );
}

/** Error of an attempt: its word, and its sentence. */
function ErrorWords({ error }: { error: string }) {
  const { word, sentence } = splitError(error);
  return (
    <span className="small">
      {word !== "" && <code>{word}</code>} {sentence}
    </span>
  );
}

function RuleNames({ rules }: { rules: AlertRule[] }) {
  if (rules.length === 0) return <span className="ink-3">no rule</span>;
  return (
    <Link to="/dashboard/alerts" search={{ tab: "rules" }}>
      {rules.length <= 2 ? rules.map((rule) => rule.name).join(", ") : counted(rules.length, "rule")}
    </Link>
  );
}

function Result({ tone, children }: { tone?: "good" | "bad"; children: ReactNode }) {
  return (
    <span className={classes.result} data-tone={tone}>
      {tone === "good" && <IconCircleCheckFilled size={15} />}
      {tone === "bad" && <IconCircleXFilled size={15} />}
      <span>{children}</span>
    </span>
  );
}
