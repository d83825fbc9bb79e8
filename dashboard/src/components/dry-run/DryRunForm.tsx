/** Form with a dry run: its fields, the result, and a foot with the command to copy and the act. */
import { Button, CopyButton } from "@mantine/core";
import { IconCopy } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { ActError } from "@/components/feedback/ErrorState";
import { Keys } from "@/components/feedback/Keys";
import { isMac } from "@/shell/Sidebar";
import classes from "./DryRun.module.css";

interface Props {
  children: ReactNode;
  command: string;
  mayCopy: boolean;
  /** Verb and number: `Retry 902 deliveries`. */
  verb: string;
  /** True only with a count for exactly this form. */
  canBegin: boolean;
  isStarting: boolean;
  error: unknown;
  onBegin: () => void;
  onCancel: () => void;
}

export function DryRunForm(props: Props) {
  const { children, command, mayCopy, verb, canBegin, isStarting, error, onBegin, onCancel } = props;
  const begin = () => {
    if (canBegin && !isStarting) onBegin();
  };
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        begin();
      }}
      onKeyDown={(event) => {
        if (event.key !== "Enter" || !(event.metaKey || event.ctrlKey)) return;
        event.preventDefault();
        begin();
      }}
    >
      {children}
      <div className={classes.foot}>
        <CopyButton value={command} timeout={1500}>
          {({ copied, copy }) => (
            <Button
              variant="subtle"
              color="gray"
              leftSection={<IconCopy size={15} stroke={1.6} />}
              disabled={!mayCopy}
              onClick={copy}
            >
              {copied ? "Copied" : "Copy as command"}
            </Button>
          )}
        </CopyButton>
        <ActError error={error} />
        <span className="row">
          <Button onClick={onCancel}>Cancel</Button>
          <Button
            type="submit"
            variant="filled"
            loading={isStarting}
            disabled={!canBegin}
            rightSection={<Keys keys={isMac() ? "⌘↵" : "Ctrl ↵"} />}
          >
            {verb}
          </Button>
        </span>
      </div>
    </form>
  );
}
