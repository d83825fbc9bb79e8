/** Alerts: what fires, the rules that watch, and the channels that are told. */
import { Button, Tabs } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { IconCircleCheck, IconPlus } from "@tabler/icons-react";
import { useNavigate, useSearch } from "@tanstack/react-router";
import type { ReactNode } from "react";
import {
  type Alert,
  alertRulesQuery,
  type AlertRule,
  ALERTS_POLL_MS,
  channelsQuery,
  firingAlertsQuery,
} from "@/api/alerts";
import { useMay } from "@/api/session";
import { EmptyState } from "@/components/feedback/EmptyState";
import { Loaded } from "@/components/feedback/Loaded";
import { Card } from "@/components/page/Card";
import { Page, Title } from "@/components/page/Page";
import { severityState } from "@/components/status/states";
import { StatusBadge } from "@/components/status/StatusBadge";
import { count, counted } from "@/lib/words/numbers";
import pages from "../pages.module.css";
import { worstOf } from "./alert-words";
import { ChannelDrawer } from "./channels/ChannelDrawer";
import { Channels } from "./channels/Channels";
import { Firing } from "./Firing";
import { History } from "./History";
import { RuleDrawer } from "./rules/RuleDrawer";
import { NoRules, Rules } from "./rules/Rules";

const FROM = "/dashboard/alerts";
const GUIDE = "/docs/guide/guides/alerts";

export function Alerts() {
  const search = useSearch({ from: FROM });
  const navigate = useNavigate();
  const mayWrite = useMay("alerts:write");
  const live = { refetchInterval: ALERTS_POLL_MS };
  const firing = useQuery({ ...firingAlertsQuery, ...live });
  const rules = useQuery({ ...alertRulesQuery, ...live });
  const channels = useQuery({ ...channelsQuery, ...(search.tab === "channels" ? live : {}) });
  const tab = search.tab === "rules" || search.tab === "channels" ? search.tab : "alerts";
  const go = (next: typeof search) => void navigate({ to: FROM, search: next });
  const createRule = () => go({ tab: "rules", create: "1" });
  const addChannel = () => go({ tab: "channels", create: "1" });
  const closed = () => go(tab === "alerts" ? {} : { tab });
  const editedRule = tab === "rules" ? rules.data?.find((rule) => rule.id === search.edit) : undefined;
  const editedChannel = tab === "channels" ? channels.data?.find((one) => one.id === search.edit) : undefined;
  const isCreating = search.create === "1" && mayWrite;
  const alerts = firing.data?.alerts ?? [];
  const isUnwatched = rules.data?.length === 0;
  const add = mayWrite && (
    <AddButton
      label={tab === "channels" ? "Add channel…" : "Create rule…"}
      onClick={tab === "channels" ? addChannel : createRule}
    />
  );
  const isEmpty = tab === "channels" ? channels.data?.length === 0 : isUnwatched;
  return (
    <Page
      crumbs={[{ label: "Alerts" }]}
      actions={!isEmpty && <span className="from-tablet">{add}</span>}
      foot={!isEmpty && add}
    >
      <Title
        text={firing.data ? titleOf(alerts, firing.data.has_more) : "Alerts"}
        badge={
          alerts.length > 0 && (
            <StatusBadge
              isTinted
              state={severityState(worstOf(alerts))}
              detail="The worst severity of what fires"
            />
          )
        }
        facts={
          <>
            <span>{rules.data?.length ? watchWords(rules.data) : "Rules watch, channels are told."}</span>
            <a href={GUIDE}>How alerts work</a>
          </>
        }
      />
      <Tabs
        value={tab}
        onChange={(next) => go(next === null || next === "alerts" ? {} : { tab: next })}
        keepMounted={false}
      >
        <Tabs.List className={pages.tabs}>
          <Tabs.Tab value="alerts">Alerts</Tabs.Tab>
          <Tabs.Tab value="rules" rightSection={tabCount(rules.data?.length)}>
            Rules
          </Tabs.Tab>
          <Tabs.Tab value="channels" rightSection={tabCount(channels.data?.length)}>
            Channels
          </Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="alerts" pt="sm">
          <div className="stack">
            <Card title="Firing now" aside={alerts.length > 0 && counted(alerts.length, "alert")}>
              <Loaded what="Alerts" query={firing}>
                {() => {
                  if (alerts.length > 0) return <Firing alerts={alerts} rules={rules.data} />;
                  if (isUnwatched) return <NoRules mayWrite={mayWrite} onCreate={createRule} />;
                  return <Calm rules={rules.data ?? []} />;
                }}
              </Loaded>
            </Card>
            {!isUnwatched && (
              <History
                rules={rules.data}
                ruleId={search.rule}
                onRule={(id) => go(id === undefined ? {} : { rule: id })}
              />
            )}
          </div>
        </Tabs.Panel>
        <Tabs.Panel value="rules" pt="sm">
          <Card>
            <Loaded what="Rules" query={rules}>
              {(all) => (
                <Rules
                  rules={all}
                  channels={channels.data}
                  firing={alerts}
                  mayWrite={mayWrite}
                  onCreate={createRule}
                  onEdit={(rule) => go({ tab, edit: rule.id })}
                />
              )}
            </Loaded>
          </Card>
        </Tabs.Panel>
        <Tabs.Panel value="channels" pt="sm">
          <Loaded what="Channels" query={channels}>
            {(all) => (
              <Channels
                channels={all}
                rules={rules.data ?? []}
                mayWrite={mayWrite}
                onCreate={addChannel}
                onEdit={(channel) => go({ tab, edit: channel.id })}
              />
            )}
          </Loaded>
        </Tabs.Panel>
      </Tabs>
      <RuleDrawer
        isOpen={mayWrite && tab === "rules" && (isCreating || editedRule !== undefined)}
        onClose={closed}
        rule={editedRule}
      />
      <ChannelDrawer
        isOpen={mayWrite && tab === "channels" && (isCreating || editedChannel !== undefined)}
        onClose={closed}
        channel={editedChannel}
      />
    </Page>
  );
}

function titleOf(alerts: Alert[], hasMore: boolean): string {
  if (alerts.length === 0) return "No alert is firing";
  if (hasMore) return `More than ${count(alerts.length)} alerts are firing`;
  return counted(alerts.length, "alert is firing", "alerts are firing");
}

/** Returns how many rules watch: `3 rules watch this environment, 1 is disabled.` */
function watchWords(rules: AlertRule[]): string {
  const watching = rules.filter((rule) => rule.enabled === 1).length;
  const disabled = rules.length - watching;
  if (watching === 0)
    return `No rule watches this environment: ${rules.length === 1 ? "the only one is" : "all are"} disabled.`;
  const words = counted(watching, "rule watches", "rules watch");
  return `${words} this environment${disabled > 0 ? `, ${count(disabled)} ${disabled === 1 ? "is" : "are"} disabled` : ""}.`;
}

/** Nothing fires. Without an enabled rule, that says nothing. */
function Calm({ rules }: { rules: AlertRule[] }) {
  const isWatched = rules.some((rule) => rule.enabled === 1);
  return (
    <EmptyState icon={IconCircleCheck} title="Nothing fires">
      {isWatched
        ? "No condition of an enabled rule is met."
        : "Every rule is disabled, so no condition is evaluated."}
    </EmptyState>
  );
}

function AddButton({ label, onClick }: { label: string; onClick: () => void }) {
  return (
    <Button variant="filled" leftSection={<IconPlus size={15} stroke={1.8} />} onClick={onClick}>
      {label}
    </Button>
  );
}

/** Count beside the name of a tab; a tab without a count has no room for one. */
function tabCount(value: number | undefined): ReactNode {
  return value ? <span className="small ink-3 number">{count(value)}</span> : null;
}
