/** Toasts: bottom right, eight seconds, with the way back for acts that can be undone. */
import { UnstyledButton } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useEffect, useState } from "react";
import classes from "./feedback.module.css";

const SHOWN_S = 8;

/** Shows a sentence. `undo` is offered while the toast is shown. */
export function toast(text: string, undo?: () => void): void {
  const id = crypto.randomUUID?.() ?? String(Math.random());
  notifications.show({
    id,
    message: undo === undefined ? text : <WithUndo id={id} text={text} undo={undo} />,
    autoClose: SHOWN_S * 1000,
    withCloseButton: undo === undefined,
  });
}

function WithUndo({ id, text, undo }: { id: string; text: string; undo: () => void }) {
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
          undo();
        }}
      >
        Undo
      </UnstyledButton>
      <span className="small ink-3 number">{left} s</span>
    </span>
  );
}
