/** Drawer with a form. Leaving it with changes asks first. */
import { Drawer } from "@mantine/core";
import { type ReactNode, useState } from "react";
import { ConfirmDialog } from "./ConfirmDialog";

interface Props {
  isOpen: boolean;
  onClose: () => void;
  title: string;
  /** What leaving without saving means: `The endpoint stays as it was.` */
  unsaved: string;
  /** Form, which is mounted while the drawer is open. It says whether it has changes, and when it is done. */
  children: (form: { onChanged: (isChanged: boolean) => void; onDone: () => void }) => ReactNode;
}

export function FormDrawer({ isOpen, onClose, title, unsaved, children }: Props) {
  const [isChanged, setChanged] = useState(false);
  const [isLeaving, setLeaving] = useState(false);
  // After this event: the same press of Escape would close the dialog at once.
  const askLater = () => setTimeout(() => setLeaving(true));
  const leave = () => {
    setChanged(false);
    onClose();
  };
  return (
    <>
      <Drawer
        opened={isOpen}
        onClose={() => (isChanged ? askLater() : leave())}
        closeOnEscape={!isLeaving}
        title={title}
      >
        {isOpen && children({ onChanged: setChanged, onDone: leave })}
      </Drawer>
      <ConfirmDialog
        isOpen={isLeaving}
        onClose={() => setLeaving(false)}
        title="Leave without saving?"
        verb="Leave"
        act={() => Promise.resolve(leave())}
      >
        {unsaved}
      </ConfirmDialog>
    </>
  );
}
