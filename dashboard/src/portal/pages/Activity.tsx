/** Activity: what changed on the customer's endpoints, and whether the portal, the sender or the engine did it. */
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { shortUrl } from "@/lib/words/ids";
import { type Activity as Entry, activityQuery } from "../api";
import { type MessageKey, useWords, type Words } from "../i18n";
import { Ago, Card, Empty, LoadError, Loading, Pages } from "../parts";
import { hrefOf } from "../place";
import classes from "../portal.module.css";

const ACTIONS: Record<string, MessageKey> = {
  "endpoint.create": "a_created",
  "endpoint.update": "a_changed",
  "endpoint.delete": "a_deleted",
  "endpoint.disable": "a_off",
  "endpoint.rotate_secret": "a_rotated",
  "endpoint.reveal_secret": "a_revealed",
  "endpoint.reset_circuit": "a_reset",
  "endpoint.test": "a_tested",
  "job.recover": "a_recover",
  "job.replay": "a_replay",
  "job.cancel": "a_cancel",
};
const STATUSES: Record<string, MessageKey> = { active: "a_on", disabled: "a_off", paused: "a_paused" };
const REASONS: Record<string, MessageKey> = {
  gone: "a_off_gone",
  asked_to_stop: "a_off_asked",
  kept_failing: "a_off_failed",
};
const AUTHORS: Record<Entry["by"], MessageKey> = {
  portal: "by_portal",
  sender: "by_sender",
  system: "by_system",
};

/** Returns what happened: a sentence, and the fields that changed beside it. */
export function wordsOfEntry(entry: Entry, words: Words): { title: string; fields: string } {
  const { t } = words;
  const named = entry.fields
    .filter((field) => field !== "status")
    .map((field) => {
      const key = `f_${field}`;
      return words.has(key) ? t(key) : field;
    });
  const fields = new Intl.ListFormat(words.locale, { type: "unit", style: "short" }).format([
    ...new Set(named),
  ]);
  const key =
    REASONS[entry.disabled_reason ?? ""] ??
    STATUSES[entry.status ?? ""] ??
    ACTIONS[entry.action] ??
    "a_changed";
  return { title: t(key), fields };
}

export function Activity() {
  const { t } = useWords();
  const [cursors, setCursors] = useState<string[]>([]);
  const page = useQuery(activityQuery(cursors[cursors.length - 1]));
  return (
    <>
      <h1>{t("activity")}</h1>
      <Card>
        {page.data ? (
          <>
            {page.data.activity.map((entry) => (
              <Row key={entry.id} entry={entry} />
            ))}
            {page.data.activity.length === 0 && <Empty title={t("noActivity")}>{t("noActivityText")}</Empty>}
            <Pages cursors={cursors} onChange={setCursors} page={page.data} />
          </>
        ) : page.error ? (
          <LoadError error={page.error} onRetry={() => void page.refetch()} />
        ) : (
          <Loading rows={6} />
        )}
      </Card>
    </>
  );
}

function Row({ entry }: { entry: Entry }) {
  const words = useWords();
  const { t } = words;
  const { title, fields } = wordsOfEntry(entry, words);
  const { id, name, is_deleted: isDeleted } = entry.endpoint;
  const content = (
    <>
      <span>
        {title}
        {fields !== "" && (
          <>
            <br />
            <span className="small ink-3">{fields}</span>
          </>
        )}
      </span>
      <span className="cut ink-2">{name ? shortUrl(name) : id}</span>
      <span className="small ink-2">{t(AUTHORS[entry.by])}</span>
      <span className={`small ink-2 ${classes.end}`}>
        <Ago value={entry.created_at} />
      </span>
    </>
  );
  const className = `${classes.row} ${classes.ofText} ${classes.ofActivity}`;
  if (isDeleted) return <div className={className}>{content}</div>;
  return (
    <a href={hrefOf(["endpoints", id])} className={className}>
      {content}
    </a>
  );
}
