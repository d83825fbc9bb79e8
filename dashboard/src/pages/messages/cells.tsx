/** Cells of a message whose content is read when the row comes into view: the list itself has no deliveries. */
import { useDebouncedValue } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { type Message, messageQuery } from "@/api/messages";
import { Countdown } from "@/components/time/Countdown";
import { count } from "@/lib/words/numbers";
import { type WhatHappened, whatHappened } from "./what-happened";
import classes from "./Messages.module.css";

/** Time for which a row has to be in view before its deliveries are read, so that scrolling past reads nothing. */
const RESTS_MS = 120;
const SHOWN_PIPS = 6;
/** Time after which an attempt that is due counts as queued. */
const QUEUED_AFTER_MS = 5_000;

/** Returns what happened to a message, once it is read. A message that is final is read once. */
function useWhatHappened(message: Message): WhatHappened | null {
  const [id] = useDebouncedValue(message.id, RESTS_MS);
  const [isResting] = useDebouncedValue(true, RESTS_MS);
  const { data } = useQuery({
    ...messageQuery(message.id),
    enabled: isResting && id === message.id,
    staleTime: message.status === "pending" ? 10_000 : Infinity,
  });
  return data ? whatHappened(data) : null;
}

export function Arrived({ message }: { message: Message }) {
  const facts = useWhatHappened(message);
  if (facts === null) return <span className={classes.bone} />;
  if (facts.total === 0) return <span className="ink-2">none</span>;
  return (
    <span className={classes.arrived}>
      <span className="number ink-2">
        {facts.arrived} of {facts.total}
      </span>
      <span className={classes.pips} aria-hidden>
        {facts.pips.slice(0, SHOWN_PIPS).map((pip, index) => (
          <i key={index} data-pip={pip} />
        ))}
      </span>
    </span>
  );
}

export function Happened({ message }: { message: Message }) {
  const facts = useWhatHappened(message);
  if (facts === null) return <span className={classes.bone} />;
  return (
    <span className={facts.isQuiet ? "ink-2 small" : "small"}>
      {facts.word !== "" && <code>{facts.word} </code>}
      {facts.sentence}
      {facts.nextAt && (
        <span className="ink-2">
          {facts.word === "" ? " " : ", next "}
          {Date.now() - Date.parse(facts.nextAt) > QUEUED_AFTER_MS ? (
            "waits in the queue"
          ) : (
            <Countdown to={facts.nextAt} />
          )}
        </span>
      )}
    </span>
  );
}

export function AttemptCount({ message }: { message: Message }) {
  const facts = useWhatHappened(message);
  return facts === null ? null : <>{count(facts.attempts)}</>;
}
