/** Parts that the portal's pages share. */
import { Button, CopyButton, Modal, Skeleton, Tooltip, UnstyledButton } from "@mantine/core";
import { IconAlertTriangle, IconCheck, IconCopy } from "@tabler/icons-react";
import { useMutation } from "@tanstack/react-query";
import { type ReactNode, useMemo } from "react";
import { ApiError } from "@/api/errors";
import { barsOf, type HealthBucket } from "@/components/data/health";
import strip from "@/components/data/HealthStrip.module.css";
import code from "@/components/code/CodeBlock.module.css";
import feedback from "@/components/feedback/feedback.module.css";
import { useNow } from "@/components/time/ticker";
import { indentJson, type Token, tokenizeJson } from "@/lib/json/json";
import { errorSentence } from "./errors";
import { useWords } from "./i18n";
import classes from "./portal.module.css";

export function Card({
  title,
  aside,
  children,
}: {
  title?: ReactNode;
  aside?: ReactNode;
  children: ReactNode;
}) {
  return (
    <section className={classes.card}>
      {title !== undefined && (
        <div className={classes.cardHead}>
          <h2>{title}</h2>
          {aside}
        </div>
      )}
      {children}
    </section>
  );
}

/** Time as its age; the exact one on hover. */
export function Ago({ value }: { value: string }) {
  const words = useWords();
  const time = new Date(value);
  const now = useNow(time.getTime());
  return (
    <Tooltip label={words.exact(time)}>
      <time dateTime={value} className="number">
        {words.ago(time, now)}
      </time>
    </Tooltip>
  );
}

/** Health of the last day: 48 half hours, red what has not arrived. */
export function Health({ buckets, height = 26 }: { buckets: HealthBucket[]; height?: number }) {
  const words = useWords();
  const bars = barsOf(buckets, height);
  const sum = (of: (bucket: HealthBucket) => number) =>
    buckets.reduce((total, bucket) => total + of(bucket), 0);
  const clock = (time: string) =>
    new Intl.DateTimeFormat(words.locale, { hour: "2-digit", minute: "2-digit" }).format(new Date(time));
  const label = words.t("healthSentence", {
    due: sum((bucket) => bucket.due),
    arrived: words.number(sum((bucket) => bucket.arrived)),
  });
  return (
    <div className={strip.strip} style={{ height }} role="img" aria-label={label}>
      {buckets.map((bucket, index) => {
        const bar = bars[index];
        if (bar === undefined) return null;
        const title = words.t("healthBar", {
          from: clock(bucket.since),
          to: clock(bucket.until),
          due: words.number(bucket.due),
          arrived: words.number(bucket.arrived),
        });
        return (
          <span key={bucket.since} className={strip.slot} title={title}>
            <span className={bar.isIdle ? strip.idle : strip.bar} style={{ height: bar.height }}>
              {bar.missing > 0 && <span className={strip.missing} style={{ height: bar.missing }} />}
            </span>
          </span>
        );
      })}
    </div>
  );
}

/** JSON or other text for reading. */
export function Code({ text, isJson = true }: { text: string; isJson?: boolean }) {
  const lines = useMemo((): Token[][] => {
    const colored = isJson && text.length <= 65_536 ? tokenizeJson(indentJson(text) ?? text) : null;
    return colored ?? text.split("\n").map((line) => [{ kind: "space" as const, text: line }]);
  }, [text, isJson]);
  return (
    <div className={code.block}>
      <div className={code.actions}>
        <Copy text={text} />
      </div>
      <pre className={code.code} data-wrapped tabIndex={0}>
        {lines.map((line, index) => (
          <div key={index} className={code.line}>
            <code className={code.text}>
              {line.map((token, place) => (
                <span key={place} data-kind={token.kind}>
                  {token.text}
                </span>
              ))}
            </code>
          </div>
        ))}
      </pre>
    </div>
  );
}

export function Copy({ text }: { text: string }) {
  const { t } = useWords();
  return (
    <CopyButton value={text} timeout={1500}>
      {({ copied, copy }) => (
        <Tooltip label={copied ? t("copied") : t("copy")}>
          <UnstyledButton
            className={classes.copy}
            aria-label={copied ? t("copied") : t("copy")}
            onClick={copy}
          >
            {copied ? <IconCheck size={14} /> : <IconCopy size={14} stroke={1.6} />}
          </UnstyledButton>
        </Tooltip>
      )}
    </CopyButton>
  );
}

export function Loading({ rows = 3 }: { rows?: number }) {
  const { t } = useWords();
  return (
    <div className={classes.loading} role="status" aria-label={t("wait")}>
      {Array.from({ length: rows }, (_, index) => (
        <Skeleton key={index} height={14} width={`${60 + ((index * 13) % 35)}%`} />
      ))}
    </div>
  );
}

export function Empty({
  title,
  children,
  action,
}: {
  title: string;
  children?: ReactNode;
  action?: ReactNode;
}) {
  return (
    <div className={feedback.empty}>
      <h3>{title}</h3>
      {children !== undefined && <p className={feedback.text}>{children}</p>}
      {action}
    </div>
  );
}

interface PagesProps {
  cursors: string[];
  onChange: (cursors: string[]) => void;
  page: { has_more: boolean; cursor?: string | null };
}

/** Buttons to older rows and back; none if there is one page. */
export function Pages({ cursors, onChange, page }: PagesProps) {
  const { t } = useWords();
  const { cursor } = page;
  if (cursors.length === 0 && !page.has_more) return null;
  return (
    <div className={classes.foot}>
      <Button disabled={cursors.length === 0} onClick={() => onChange([])}>
        {t("newer")}
      </Button>
      <Button disabled={!page.has_more || !cursor} onClick={() => cursor && onChange([...cursors, cursor])}>
        {t("older")}
      </Button>
    </div>
  );
}

/** Part that did not load. */
export function LoadError({ error, onRetry }: { error: unknown; onRetry: () => void }) {
  const { t } = useWords();
  const isAbsent = error instanceof ApiError && error.status === 404;
  if (isAbsent) return <Empty title={t("notFound")}>{t("notFoundText")}</Empty>;
  return (
    <div className={feedback.error} role="alert">
      <IconAlertTriangle size={18} stroke={1.8} />
      <div className="stack-small">
        <h3>{t("loadFailed")}</h3>
        <ErrorText error={error} />
        <div>
          <Button onClick={onRetry}>{t("tryAgain")}</Button>
        </div>
      </div>
    </div>
  );
}

/** Error as a sentence with its request id, which is for the sender's support. */
export function ErrorText({ error }: { error: unknown }) {
  const words = useWords();
  const { t } = words;
  if (!error) return null;
  const id = error instanceof ApiError ? error.requestId : null;
  return (
    <p className="small ink-2" role="alert">
      {errorSentence(error, words)} {id !== null && <span className="mono">{t("requestId", { id })}</span>}
    </p>
  );
}

interface ConfirmProps {
  isOpen: boolean;
  onClose: () => void;
  title: string;
  text: ReactNode;
  verb: string;
  isDangerous?: boolean;
  isReady?: boolean;
  act: () => Promise<unknown>;
}

/** Question before an act. */
export function Confirm({
  isOpen,
  onClose,
  title,
  text,
  verb,
  isDangerous,
  isReady = true,
  act,
}: ConfirmProps) {
  const { t } = useWords();
  const doing = useMutation({ mutationFn: act, onSuccess: close });
  function close() {
    doing.reset();
    onClose();
  }
  return (
    <Modal opened={isOpen} onClose={close} title={title} closeButtonProps={{ "aria-label": t("close") }}>
      <div className="stack">
        <div>{text}</div>
        <ErrorText error={doing.error} />
        <div className={feedback.dialogActions}>
          <Button onClick={close}>{t("cancel")}</Button>
          <Button
            variant="filled"
            {...(isDangerous ? { color: "red" } : {})}
            loading={doing.isPending}
            disabled={!isReady}
            onClick={() => doing.mutate()}
          >
            {verb}
          </Button>
        </div>
      </div>
    </Modal>
  );
}
