/** All keys of the page that is open, and the switch that turns single keys off. */
import { Modal, Switch } from "@mantine/core";
import { useState } from "react";
import { Keys } from "@/components/feedback/Keys";
import { KEYS_OFF, useAllKeys } from "./keys";
import { isMac } from "./Sidebar";
import classes from "./Shell.module.css";

export function KeyHelp({ isOpen, onClose }: { isOpen: boolean; onClose: () => void }) {
  const all = useAllKeys();
  const [isOff, setOff] = useState(() => localStorage.getItem(KEYS_OFF) === "1");
  const rows = isOpen ? [...new Map(all().map((binding) => [binding.keys, binding.label]))] : [];
  return (
    <Modal opened={isOpen} onClose={onClose} title="Keys of this page" size={520}>
      <div className={classes.keyList}>
        {[
          [isMac() ? "⌘K" : "Ctrl K", "Search, go, act"] as const,
          ...rows,
          ["Esc", "Close, or leave the search"] as const,
        ].map(([keys, label]) => (
          <div key={keys} className={classes.keyRow}>
            <span>{label}</span>
            <Keys keys={keys} />
          </div>
        ))}
      </div>
      <Switch
        mt={14}
        label="Single keys act"
        checked={!isOff}
        onChange={(event) => {
          const isNowOff = !event.currentTarget.checked;
          localStorage.setItem(KEYS_OFF, isNowOff ? "1" : "0");
          setOff(isNowOff);
        }}
      />
    </Modal>
  );
}
