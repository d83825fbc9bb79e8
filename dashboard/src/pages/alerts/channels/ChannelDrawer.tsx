/** Drawer that adds or changes a notification channel. */
import type { Channel } from "@/api/alerts";
import { FormDrawer } from "@/components/feedback/FormDrawer";
import { ChannelForm } from "./ChannelForm";
import type { ChannelType } from "./channel-types";
import { NewChannel } from "./NewChannel";

interface Props {
  isOpen: boolean;
  onClose: () => void;
  channel?: Channel | undefined;
}

export function ChannelDrawer({ isOpen, onClose, channel }: Props) {
  return (
    <FormDrawer
      isOpen={isOpen}
      onClose={onClose}
      title={channel ? "Edit the channel" : "Add a channel"}
      unsaved={channel ? "The channel stays as it was." : "The channel is not added."}
    >
      {({ onChanged, onDone }) =>
        channel ? (
          <ChannelForm
            type={channel.channel_type as ChannelType}
            channel={channel}
            onChanged={onChanged}
            onDone={onDone}
          />
        ) : (
          <NewChannel onChanged={onChanged} onDone={onDone} />
        )
      }
    </FormDrawer>
  );
}
