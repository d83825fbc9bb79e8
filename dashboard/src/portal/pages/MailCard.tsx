/** Mail to the customer about failing endpoints: an address, confirmed by a code, and the choice of events. */
import { Button, Checkbox, TextInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, type ReactNode, useState } from "react";
import { hasCode } from "@/api/errors";
import { confirmMail, mailQuery, type Notifications, setMail, stopMail } from "../api";
import { useMayChange } from "../capabilities";
import { errorSentence } from "../errors";
import { useWords } from "../i18n";
import {
  choiceOf,
  digitsOf,
  EVENT_SENTENCES,
  EVENTS,
  isSameChoice,
  placeOfError,
  type Step,
  stepOf,
} from "../mail";
import { Card, ErrorText, LoadError } from "../parts";
import classes from "../portal.module.css";

/** Card of the mail; absent where the installation sends none. */
export function MailCard() {
  const { t } = useWords();
  const mail = useQuery(mailQuery);
  const mayChange = useMayChange();
  if (mail.error && !mail.data) {
    return (
      <Card title={t("mail")}>
        <LoadError error={mail.error} onRetry={() => void mail.refetch()} />
      </Card>
    );
  }
  if (!mail.data?.is_available) return null;
  return mayChange ? <Steps mail={mail.data} /> : <ReadOnly mail={mail.data} />;
}

function ReadOnly({ mail }: { mail: Notifications }) {
  const { t } = useWords();
  const step = stepOf(mail, false);
  return (
    <Card title={t("mail")}>
      <div className={`${classes.padded} stack-small`}>
        {step.kind === "address" && <p>{t("mailNone")}</p>}
        {step.kind === "code" && <p>{t("mailUnconfirmed", { email: step.email })}</p>}
        {step.kind === "on" && (
          <>
            <p>{t("mailOn", { email: step.email })}</p>
            <p className="small ink-2">{t("mailWhen")}</p>
            <ul className={classes.list}>
              {EVENTS.filter((event) => mail.events.includes(event)).map((event) => (
                <li key={event}>{t(EVENT_SENTENCES[event])}</li>
              ))}
            </ul>
          </>
        )}
      </div>
    </Card>
  );
}

/** Sentence at the head of a step. */
function useSentence(step: Step, wasSentAgain: boolean): string {
  const { t } = useWords();
  if (step.kind === "on") return t("mailOn", { email: step.email });
  if (step.kind === "code") return t(wasSentAgain ? "mailCodeAgain" : "mailCodeSent", { email: step.email });
  if (step.former === null) return t("mailText");
  return t(step.former.reason === "refused" ? "mailRefused" : "mailReplace", { email: step.former.email });
}

function Steps({ mail }: { mail: Notifications }) {
  const { t } = useWords();
  const client = useQueryClient();
  const [isOther, setOther] = useState(false);
  const [codes, setCodes] = useState({ email: "", count: 0 });
  const step = stepOf(mail, isOther);
  const count = step.kind === "code" && codes.email === step.email ? codes.count : 0;
  const sentence = useSentence(step, count > 1);
  const stopping = useMutation({
    mutationFn: stopMail,
    onSuccess: () => client.invalidateQueries({ queryKey: mailQuery.queryKey }),
  });
  function codeSent(email: string) {
    setOther(false);
    setCodes((before) => ({ email, count: before.email === email ? before.count + 1 : 1 }));
  }
  const choice = choiceOf(mail);
  const other = <Button onClick={() => setOther(true)}>{t("mailOther")}</Button>;
  return (
    <Card
      title={t("mail")}
      aside={
        step.kind !== "address" && (
          <Button
            variant="subtle"
            size="compact-xs"
            loading={stopping.isPending}
            onClick={() => stopping.mutate()}
          >
            {t(step.kind === "on" ? "mailStop" : "cancel")}
          </Button>
        )
      }
    >
      <div className={`${classes.padded} stack`}>
        <p role="status">{sentence}</p>
        {step.kind === "address" && (
          <AddressForm
            email={step.former?.reason === "refused" ? step.former.email : ""}
            choice={choice}
            onSent={codeSent}
            isFocused={isOther}
            {...(isOther ? { onCancel: () => setOther(false) } : {})}
          />
        )}
        {step.kind === "code" && (
          <CodeForm
            key={step.email}
            email={step.email}
            choice={choice}
            isFocused={count > 0}
            onSent={codeSent}
          >
            {other}
          </CodeForm>
        )}
        {step.kind === "on" && (
          <ChoiceForm key={`${step.email} ${choice.join()}`} email={step.email} choice={choice}>
            {other}
          </ChoiceForm>
        )}
        <ErrorText error={stopping.error} />
      </div>
    </Card>
  );
}

/** Sets the address and the choice; what the server answers is shown at once. */
function useSetMail(onDone?: (email: string) => void) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: setMail,
    onSuccess: (answer, { email }) => {
      client.setQueryData(mailQuery.queryKey, answer);
      onDone?.(answer.notifications.email ?? email);
    },
  });
}

interface AddressFormProps {
  /** Address that the field has at first. */
  email: string;
  choice: string[];
  onSent: (email: string) => void;
  onCancel?: () => void;
  isFocused: boolean;
}

function AddressForm({ email: first, choice, onSent, onCancel, isFocused }: AddressFormProps) {
  const words = useWords();
  const { t } = words;
  const [email, setEmail] = useState(first);
  const [events, setEvents] = useState(choice);
  const sending = useSetMail(onSent);
  const isOfEmail = placeOfError(sending.error) === "email";
  function submit(event: FormEvent) {
    event.preventDefault();
    sending.mutate({ email: email.trim(), events });
  }
  return (
    <form className={`${classes.narrow} stack`} onSubmit={submit}>
      <TextInput
        label={t("mailAddress")}
        required
        type="email"
        autoComplete="email"
        value={email}
        error={isOfEmail ? errorSentence(sending.error, words) : undefined}
        onChange={(event) => setEmail(event.currentTarget.value)}
        autoFocus={isFocused}
      />
      <Choice value={events} onChange={setEvents} />
      {!isOfEmail && <CodeError error={sending.error} />}
      <div className={classes.acts}>
        <Button
          type="submit"
          variant="filled"
          loading={sending.isPending}
          disabled={events.length === 0 || email.trim() === ""}
        >
          {t("mailSendCode")}
        </Button>
        {onCancel && <Button onClick={onCancel}>{t("cancel")}</Button>}
      </div>
    </form>
  );
}

interface CodeFormProps {
  email: string;
  choice: string[];
  onSent: (email: string) => void;
  isFocused: boolean;
  children: ReactNode;
}

function CodeForm({ email, choice, onSent, isFocused, children }: CodeFormProps) {
  const words = useWords();
  const { t } = words;
  const client = useQueryClient();
  const [code, setCode] = useState("");
  const sending = useSetMail((sent) => {
    setCode("");
    confirming.reset();
    onSent(sent);
  });
  const confirming = useMutation({
    mutationFn: confirmMail,
    onSuccess: (answer) => client.setQueryData(mailQuery.queryKey, answer),
    // The code may have been used on another page.
    onError: (error) =>
      hasCode(error, "none_to_confirm") && client.invalidateQueries({ queryKey: mailQuery.queryKey }),
  });
  const isOfCode = placeOfError(confirming.error) === "code";
  function submit(event: FormEvent) {
    event.preventDefault();
    if (code.length === 6) confirming.mutate(code);
  }
  return (
    <form className={`${classes.narrow} stack`} onSubmit={submit}>
      <TextInput
        label={t("mailCode")}
        className={classes.code}
        required
        inputMode="numeric"
        autoComplete="one-time-code"
        value={code}
        error={isOfCode ? errorSentence(confirming.error, words) : undefined}
        onChange={(event) => setCode(digitsOf(event.currentTarget.value))}
        autoFocus={isFocused}
      />
      {!isOfCode && <ErrorText error={confirming.error} />}
      <CodeError error={sending.error} />
      <div className={classes.acts}>
        <Button type="submit" variant="filled" loading={confirming.isPending} disabled={code.length !== 6}>
          {t("mailConfirm")}
        </Button>
        <Button loading={sending.isPending} onClick={() => sending.mutate({ email, events: choice })}>
          {t("sendAgain")}
        </Button>
        {children}
      </div>
    </form>
  );
}

interface ChoiceFormProps {
  email: string;
  choice: string[];
  children: ReactNode;
}

function ChoiceForm({ email, choice, children }: ChoiceFormProps) {
  const { t } = useWords();
  const [events, setEvents] = useState(choice);
  const saving = useSetMail();
  function submit(event: FormEvent) {
    event.preventDefault();
    saving.mutate({ email, events });
  }
  return (
    <form className={`${classes.narrow} stack`} onSubmit={submit}>
      <Choice value={events} onChange={setEvents} />
      <ErrorText error={saving.error} />
      <div className={classes.acts}>
        <Button
          type="submit"
          variant="filled"
          loading={saving.isPending}
          disabled={events.length === 0 || isSameChoice(events, choice)}
        >
          {t("save")}
        </Button>
        {children}
      </div>
    </form>
  );
}

function Choice({ value, onChange }: { value: string[]; onChange: (events: string[]) => void }) {
  const { t } = useWords();
  return (
    <Checkbox.Group
      label={t("mailWhen")}
      value={value}
      onChange={onChange}
      error={value.length === 0 ? t("mailChoose") : undefined}
    >
      <div className={`${classes.choice} stack-small`}>
        {EVENTS.map((event) => (
          <Checkbox key={event} value={event} label={t(EVENT_SENTENCES[event])} />
        ))}
      </div>
    </Checkbox.Group>
  );
}

/** Error of a code that was not mailed. A refusal for the number of requests tells the number of codes. */
function CodeError({ error }: { error: unknown }) {
  const { t } = useWords();
  if (!hasCode(error, "rate_limited")) return <ErrorText error={error} />;
  return (
    <p className="small ink-2" role="alert">
      {t("mailTooOften")}
    </p>
  );
}
