/** One endpoint: how it is doing, what arrived, its secret, and how to check a signature. */
import { Button, Menu } from "@mantine/core";
import { IconAlertTriangle, IconDots, IconInfoCircle, IconPencil, IconSend } from "@tabler/icons-react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { bucketsOfHalfHours } from "@/components/data/health";
import { StatusBadge } from "@/components/status/StatusBadge";
import { useSeconds } from "@/components/time/ticker";
import { shortUrl } from "@/lib/words/ids";
import { deleteEndpoint, type Endpoint, endpointQuery, healthQuery, sendTest, updateEndpoint } from "../api";
import type { Schemas } from "@/api/client";
import { useMayChange } from "../capabilities";
import { useWords } from "../i18n";
import { Card, Confirm, Copy, ErrorText, Health, LoadError, Loading } from "../parts";
import { goTo, hrefOf } from "../place";
import classes from "../portal.module.css";
import { endpointState } from "../states";
import { errorWords } from "../why";
import { EndpointForm } from "./EndpointForm";
import { typesOf } from "./filter-types";
import { MessageRows } from "./Messages";
import { Recover } from "./Recover";
import { Secret } from "./Secret";
import { Signature } from "./Signature";

export function EndpointPage({ id }: { id: string }) {
  const endpoint = useQuery(endpointQuery(id));
  if (endpoint.data) return <Shown endpoint={endpoint.data} />;
  return endpoint.error ? (
    <LoadError error={endpoint.error} onRetry={() => void endpoint.refetch()} />
  ) : (
    <Loading rows={6} />
  );
}

type Dialog = "edit" | "off" | "remove" | "recover" | null;

function Shown({ endpoint }: { endpoint: Endpoint }) {
  const { t } = useWords();
  const client = useQueryClient();
  const health = useQuery(healthQuery(endpoint.id));
  const mayChange = useMayChange();
  const [dialog, setDialog] = useState<Dialog>(null);
  const close = () => setDialog(null);
  const name = endpoint.description || shortUrl(endpoint.url);
  const isOn = endpoint.status === "active";
  const changing = useMutation({
    mutationFn: (status: "active" | "disabled") => updateEndpoint(endpoint.id, { status }),
    onSuccess: () => client.invalidateQueries(),
  });
  const testing = useMutation({
    mutationFn: () => sendTest(endpoint.id),
    onSuccess: () => client.invalidateQueries({ queryKey: ["messages"] }),
  });
  const types = typesOf(endpoint);
  return (
    <>
      <div className={classes.head}>
        <div className={classes.heading}>
          <nav className={`small ink-3 ${classes.crumbs}`}>
            <a href={hrefOf(["endpoints"])}>{t("endpoints")}</a>
            <span>{name}</span>
          </nav>
          <div className="row-wrap">
            <h1>{name}</h1>
            <StatusBadge state={endpointState(endpoint, health.data, t)} isTinted />
          </div>
          <span className="row">
            <code>{endpoint.url}</code>
            <Copy text={endpoint.url} />
          </span>
        </div>
        {mayChange && (
          <div className="row-wrap">
            <Menu>
              <Menu.Target>
                <Button leftSection={<IconDots size={15} />}>{t("more")}</Button>
              </Menu.Target>
              <Menu.Dropdown>
                <Menu.Item onClick={() => setDialog("recover")} disabled={!isOn}>
                  {t("recover")}
                </Menu.Item>
                {isOn && <Menu.Item onClick={() => setDialog("off")}>{t("switchOff")}…</Menu.Item>}
                <Menu.Item onClick={() => setDialog("remove")}>{t("remove")}…</Menu.Item>
              </Menu.Dropdown>
            </Menu>
            <Button leftSection={<IconPencil size={15} />} onClick={() => setDialog("edit")}>
              {t("edit")}
            </Button>
            <Button
              variant="filled"
              leftSection={<IconSend size={15} />}
              loading={testing.isPending}
              onClick={() => testing.mutate()}
            >
              {t("sendTest")}
            </Button>
          </div>
        )}
      </div>
      {testing.data && (
        <Note>
          {t("testSent")} <a href={hrefOf(["messages", testing.data.message.id])}>{t("why")}</a>
        </Note>
      )}
      <ErrorText error={testing.error ?? changing.error} />
      <Trouble
        endpoint={endpoint}
        health={health.data}
        mayChange={mayChange}
        switchOn={() => changing.mutate("active")}
      />
      {health.data && <Figures health={health.data} />}
      <div className={classes.columns}>
        <div className={classes.column}>
          <MessageRows filter={{ endpoint: endpoint.id }} title={t("messages")} />
        </div>
        <div className={classes.column}>
          <Secret endpoint={endpoint} />
          <Card
            title={t("types")}
            aside={mayChange && <TextButton onClick={() => setDialog("edit")}>{t("change")}</TextButton>}
          >
            <div className={`${classes.padded} ${classes.chips}`}>
              {types.length === 0
                ? t("allTypes")
                : types.map((type) => (
                    <span key={type} className={classes.chip}>
                      {type}
                    </span>
                  ))}
            </div>
          </Card>
          <Signature algorithm={endpoint.signing_algorithm} />
        </div>
      </div>
      <EndpointForm endpoint={endpoint} isOpen={dialog === "edit"} onClose={close} />
      <Confirm
        isOpen={dialog === "off"}
        onClose={close}
        title={t("switchOffTitle", { name })}
        text={t("switchOffText")}
        verb={t("switchOff")}
        act={() => changing.mutateAsync("disabled")}
      />
      <Confirm
        isOpen={dialog === "remove"}
        onClose={close}
        title={t("removeTitle", { name })}
        text={t("removeText")}
        verb={t("remove")}
        isDangerous
        act={async () => {
          await deleteEndpoint(endpoint.id);
          await client.invalidateQueries({ queryKey: ["endpoints"] });
          goTo(hrefOf(["endpoints"]));
        }}
      />
      <Recover endpoint={endpoint} name={name} isOpen={dialog === "recover"} onClose={close} />
    </>
  );
}

export function TextButton({ onClick, children }: { onClick: () => void; children: ReactNode }) {
  return (
    <Button variant="subtle" size="compact-xs" onClick={onClick}>
      {children}
    </Button>
  );
}

function Note({ tone, children, action }: { tone?: "bad"; children: ReactNode; action?: ReactNode }) {
  const Icon = tone === "bad" ? IconAlertTriangle : IconInfoCircle;
  return (
    <div className={classes.banner} data-tone={tone} role="status">
      <Icon size={16} stroke={1.8} />
      <span className="grow">{children}</span>
      {action}
    </div>
  );
}

interface TroubleProps {
  endpoint: Endpoint;
  health: Schemas["EndpointHealth"] | undefined;
  mayChange: boolean;
  switchOn: () => void;
}

/** What keeps messages from arriving, and the act that helps. */
function Trouble({ endpoint, health, mayChange, switchOn }: TroubleProps) {
  const words = useWords();
  const now = useSeconds();
  const { t } = words;
  const act = (label: string, onClick: () => void) =>
    mayChange && (
      <Button variant="filled" onClick={onClick}>
        {label}
      </Button>
    );
  if (endpoint.status === "paused") return <Note>{t("pausedBanner")}</Note>;
  if (endpoint.status === "expired") {
    const time = endpoint.expires_at ? words.ago(new Date(endpoint.expires_at), now) : "";
    return <Note>{t("expiredBanner", { time })}</Note>;
  }
  if (endpoint.status === "disabled") {
    const reason = endpoint.disabled_reason;
    const text =
      reason === "kept_failing"
        ? "offFailedBanner"
        : reason === "gone" || reason === "asked_to_stop"
          ? "offGoneBanner"
          : "offBanner";
    return <Note action={act(t("switchOn"), switchOn)}>{t(text)}</Note>;
  }
  if (!health) return null;
  const isOpen = health.circuit_state !== "closed";
  if (!health.failing_since && !isOpen) return null;
  const error = errorWords(health.errors[0]?.error ?? "", words, health.errors[0]?.response_status);
  const until = health.held_until ? (Date.parse(health.held_until) - now.getTime()) / 1000 : 0;
  const text =
    isOpen && until > 0
      ? t("circuitBanner", { error, span: words.span(until) })
      : t("failingBanner", { error });
  const ends = health.disables_at
    ? new Intl.DateTimeFormat(words.locale, { dateStyle: "medium", timeStyle: "short" }).format(
        new Date(health.disables_at),
      )
    : null;
  return (
    <Note tone="bad">
      {text} {ends !== null && t("disablesAt", { time: ends })}
    </Note>
  );
}

function Figures({ health }: { health: Schemas["EndpointHealth"] }) {
  const words = useWords();
  const now = useSeconds();
  const { t, number, percent } = words;
  const { latency, backlog } = health;
  const time = (ms: number) => `${number(ms, ms < 10 ? 1 : 0)}\u202fms`;
  return (
    <Card>
      <div className={classes.health}>
        <div>
          <p className="name">{t("last24")}</p>
          <Health buckets={bucketsOfHalfHours(health.half_hours)} height={34} />
        </div>
        <div className={classes.figure}>
          <span className="small ink-2">{t("arrivedShare")}</span>
          <strong>
            {health.success_rate === null || health.success_rate === undefined
              ? "–"
              : percent(health.success_rate)}
          </strong>
          <span className="small ink-3">
            {health.due === 0 ? t("noTraffic") : t("arrivedOf", { count: health.arrived })}
          </span>
        </div>
        <div className={classes.figure}>
          <span className="small ink-2">{t("answerTime")}</span>
          <strong>{latency.p50 === null || latency.p50 === undefined ? "–" : time(latency.p50)}</strong>
          <span className="small ink-3">
            {latency.p95 === null || latency.p95 === undefined
              ? ""
              : t("answerUnder", { time: time(latency.p95) })}
          </span>
        </div>
        <div className={classes.figure}>
          <span className="small ink-2">{t("waitingNow")}</span>
          <strong>{number(backlog.pending)}</strong>
          <span className="small ink-3">
            {backlog.pending === 0 || !backlog.oldest_at
              ? t("waitingNone")
              : t("waitingSince", { ago: words.ago(new Date(backlog.oldest_at), now) })}
          </span>
        </div>
      </div>
    </Card>
  );
}
