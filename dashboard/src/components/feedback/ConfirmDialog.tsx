/** Dialog before an act: a question with the name, what happens to how many, and a button that repeats verb and number. */
import { Button, Modal, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { ActError } from "./ErrorState";
import classes from "./feedback.module.css";

interface Props {
  isOpen: boolean;
  onClose: () => void;
  /** Question with the name: `Pause Haverbrook orders?` */
  title: string;
  children: ReactNode;
  /** Verb and number: `Delete and cancel 12,481`. */
  verb: string;
  isDangerous?: boolean;
  /** Name to type before an act that cannot be undone. */
  nameToType?: string;
  act: () => Promise<unknown>;
}

export function ConfirmDialog({
  isOpen,
  onClose,
  title,
  children,
  verb,
  isDangerous = false,
  nameToType,
  act,
}: Props) {
  const [typed, setTyped] = useState("");
  const doing = useMutation({ mutationFn: act, onSuccess: close });
  function close() {
    setTyped("");
    doing.reset();
    onClose();
  }
  const isReady = nameToType === undefined || typed.trim() === nameToType;
  return (
    <Modal opened={isOpen} onClose={close} title={title}>
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          if (isReady) doing.mutate();
        }}
      >
        <div className={classes.dialogBody}>{children}</div>
        {nameToType !== undefined && (
          <TextInput
            label={`Type ${nameToType}`}
            value={typed}
            onChange={(event) => setTyped(event.currentTarget.value)}
            autoComplete="off"
            data-autofocus
          />
        )}
        <ActError error={doing.error} />
        <div className={classes.dialogActions}>
          <Button onClick={close}>Cancel</Button>
          <Button
            type="submit"
            variant="filled"
            {...(isDangerous ? { color: "red" } : {})}
            disabled={!isReady}
            loading={doing.isPending}
          >
            {verb}
          </Button>
        </div>
      </form>
    </Modal>
  );
}
