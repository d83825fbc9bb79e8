/** Toasts: bottom right, eight seconds, with the way back for acts that can be undone. */
import { UnstyledButton } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useEffect, useState } from "react";
import classes from "./feedback.module.css";

const SHOWN_S = 8;

/** Act that a toast offers while it is shown. */
export interface ToastAction {
  label: string;
  run: () => void;
}

/** Shows a sentence, with an act or the way back (`undo`). */
export function toast(text: string, action?: ToastAction | (() => void)): void {
  const id = crypto.randomUUID?.() ?? String(Math.random());
  const offered = typeof action === "function" ? { label: "Undo", run: action } : action;
  notifications.show({
    id,
    message: offered === undefined ? text : <WithAction id={id} text={text} action={offered} />,
    autoClose: SHOWN_S * 1000,
    withCloseButton: offered === undefined,
    closeButtonProps: { "aria-label": "Close" },
  });
}

function WithAction({ id, text, action }: { id: string; text: string; action: ToastAction }) {
  const [left, setLeft] = useState(SHOWN_S);
  useEffect(() => {
    const timer = setInterval(() => setLeft((seconds) => Math.max(0, seconds - 1)), 1000);
    return () => clearInterval(timer);
  }, []);
  return (
    <span className={classes.toast}>
      <span className="grow">{text}</span>
      <UnstyledButton
        className={classes.undo}
        onClick={() => {
          notifications.hide(id);
          action.run();
        }}
      >
        {action.label}
      </UnstyledButton>
      <span className="small ink-3 number">{left} s</span>
    </span>
  );
}
