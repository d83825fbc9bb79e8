/** Bar of a selection, in place of the footer: how many, and what can be done with them. */
import { Button, UnstyledButton } from "@mantine/core";
import { IconRotateClockwise } from "@tabler/icons-react";
import { type ReactNode, useState } from "react";
import { queryClient } from "@/api/client";
import { type Message, retryMessage } from "@/api/messages";
import { ConfirmDialog } from "@/components/feedback/ConfirmDialog";
import { toast } from "@/components/feedback/toast";
import { useKeys } from "@/shell/keys";
import { counted } from "@/lib/words/numbers";

interface Props {
  messages: Message[];
  shown: number;
  onAll: () => void;
  onClear: () => void;
  /** Act on all that match, shown or not. */
  matching: ReactNode;
}

export function SelectionBar({ messages, shown, onAll, onClear, matching }: Props) {
  const [isAsked, setAsked] = useState(false);
  const failed = messages.filter((one) => one.status === "failed" || one.status === "pending");
  useKeys([{ keys: "Escape", label: "Clear the selection", run: onClear }]);
  return (
    <>
      <span className="row">
        <strong className="name">{messages.length} selected.</strong>
        {messages.length < shown && (
          <UnstyledButton className="link small" onClick={onAll}>
            Select all {shown} shown
          </UnstyledButton>
        )}
        <UnstyledButton className="link small" onClick={onClear}>
          Clear
        </UnstyledButton>
      </span>
      <span className="row">
        {matching}
        {failed.length === 0 ? (
          <span>Nothing of it can be retried: all have arrived or were skipped.</span>
        ) : (
          <Button leftSection={<IconRotateClockwise size={15} stroke={1.8} />} onClick={() => setAsked(true)}>
            Retry {failed.length} selected…
          </Button>
        )}
      </span>
      <ConfirmDialog
        isOpen={isAsked}
        onClose={() => setAsked(false)}
        title={`Retry ${counted(failed.length, "message")}?`}
        verb={`Retry ${counted(failed.length, "message")}`}
        act={async () => {
          const retried = await retryAll(failed);
          toast(`${counted(retried, "message is", "messages are")} sent again to the endpoints that failed.`);
          onClear();
          await queryClient.invalidateQueries({ queryKey: ["messages"] });
        }}
      >
        Deliveries that failed or wait for a retry are sent now, with the same webhook-id. What has arrived is
        left alone.
      </ConfirmDialog>
    </>
  );
}

/** Retries messages one after the other, and returns of how many something was sent again. */
async function retryAll(messages: Message[]): Promise<number> {
  let retried = 0;
  for (const { application_id: appId, id: msgId } of messages) {
    const answer = await retryMessage({ appId, msgId }, { kind: "failed" });
    if (answer.retried) retried += 1;
  }
  return retried;
}
