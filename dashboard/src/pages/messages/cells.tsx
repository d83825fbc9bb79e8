/** Cells of a message whose content is read when the row comes into view: the list itself has no deliveries. */
import { useQuery } from "@tanstack/react-query";
import { type ReactNode, useEffect, useState } from "react";
import { queryClient } from "@/api/client";
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

/**
 * Shows its children once the row has been in view for a moment, or at once if its message was read before. Rows that are
 * scrolled past thus cost little.
 */
function WhenResting({ message, children }: { message: Message; children: ReactNode }) {
  const [isResting, setResting] = useState(
    () => queryClient.getQueryData(messageQuery(message.id).queryKey) !== undefined,
  );
  useEffect(() => {
    if (isResting) return;
    const timer = setTimeout(() => setResting(true), RESTS_MS);
    return () => clearTimeout(timer);
  }, [isResting]);
  return isResting ? children : <span className={classes.bone} />;
}

/** Returns what happened to a message, once it is read. A message that is final is read once. */
function useWhatHappened(message: Message): WhatHappened | null {
  const { data } = useQuery({
    ...messageQuery(message.id),
    staleTime: message.status === "pending" ? 10_000 : Infinity,
  });
  return data ? whatHappened(data) : null;
}

export function Arrived({ message }: { message: Message }) {
  return (
    <WhenResting message={message}>
      <ArrivedFacts message={message} />
    </WhenResting>
  );
}

function ArrivedFacts({ message }: { message: Message }) {
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
  return (
    <WhenResting message={message}>
      <HappenedFacts message={message} />
    </WhenResting>
  );
}

function HappenedFacts({ message }: { message: Message }) {
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
  return (
    <WhenResting message={message}>
      <AttemptCountFacts message={message} />
    </WhenResting>
  );
}

function AttemptCountFacts({ message }: { message: Message }) {
  const facts = useWhatHappened(message);
  return facts === null ? <span className={classes.bone} /> : <>{count(facts.attempts)}</>;
}
