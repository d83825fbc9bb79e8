/** Acts of an endpoint in the top bar. What the user may not do is absent. */
import { Button, Menu } from "@mantine/core";
import { useMediaQuery } from "@mantine/hooks";
import {
  IconDots,
  IconEdit,
  IconPlayerPause,
  IconPlayerPlay,
  IconRotateClockwise,
  IconSend,
} from "@tabler/icons-react";
import type { Endpoint } from "@/api/endpoints";
import { Keys } from "@/components/feedback/Keys";
import { count } from "@/lib/words/numbers";

interface Props {
  endpoint: Endpoint;
  mayWrite: boolean;
  mayRecover: boolean;
  maySend: boolean;
  /** Deliveries of the last day that ended without arriving. */
  missed: number;
  isTesting: boolean;
  onTest: () => void;
  onPause: () => void;
  onActivate: () => void;
  onDisable: () => void;
  onDelete: () => void;
  /** Opens a dialog, which has an address of its own. */
  onOpen: (dialog: "edit" | "recover" | "replay") => void;
}

export function EndpointActions(props: Props) {
  // A phone has room for one button: the others are in its menu.
  const isPhone = useMediaQuery("(max-width: 767px)") ?? false;
  const { endpoint, mayWrite, mayRecover, maySend, missed, isTesting, onOpen } = props;
  return (
    <>
      {maySend && endpoint.status === "active" && (
        <Button
          className="from-tablet"
          leftSection={<IconSend size={15} stroke={1.8} />}
          loading={isTesting}
          onClick={props.onTest}
        >
          Send test
        </Button>
      )}
      {mayWrite && endpoint.status === "active" && (
        <Button
          className="from-tablet"
          leftSection={<IconPlayerPause size={15} stroke={1.8} />}
          onClick={props.onPause}
        >
          Pause
        </Button>
      )}
      {mayWrite && endpoint.status === "paused" && (
        <Button
          variant="filled"
          className="from-tablet"
          leftSection={<IconPlayerPlay size={15} stroke={1.8} />}
          onClick={props.onActivate}
        >
          Resume
        </Button>
      )}
      {mayWrite && (
        <Button
          className="from-tablet"
          leftSection={<IconEdit size={15} stroke={1.8} />}
          rightSection={<Keys keys="⇧E" />}
          onClick={() => onOpen("edit")}
        >
          Edit…
        </Button>
      )}
      {mayRecover && (
        <Button
          className="from-tablet"
          leftSection={<IconRotateClockwise size={15} stroke={1.8} />}
          title="Sends again what is exhausted or was skipped. Shows how much first."
          onClick={() => onOpen("recover")}
        >
          {missed > 0 ? `Recover ${count(missed)}…` : "Recover…"}
        </Button>
      )}
      {(mayWrite || mayRecover) && (
        <Menu>
          <Menu.Target>
            <Button aria-label="More acts" px={8}>
              <IconDots size={16} />
            </Button>
          </Menu.Target>
          <Menu.Dropdown>
            {isPhone && (
              <>
                {maySend && endpoint.status === "active" && (
                  <Menu.Item onClick={props.onTest}>Send test</Menu.Item>
                )}
                {mayWrite && endpoint.status === "active" && (
                  <Menu.Item onClick={props.onPause}>Pause</Menu.Item>
                )}
                {mayWrite && endpoint.status === "paused" && (
                  <Menu.Item onClick={props.onActivate}>Resume</Menu.Item>
                )}
                {mayWrite && <Menu.Item onClick={() => onOpen("edit")}>Edit…</Menu.Item>}
                {mayRecover && <Menu.Item onClick={() => onOpen("recover")}>Recover…</Menu.Item>}
              </>
            )}
            {mayRecover && <Menu.Item onClick={() => onOpen("replay")}>Replay…</Menu.Item>}
            {mayWrite && endpoint.status === "disabled" && (
              <Menu.Item onClick={props.onActivate}>Enable</Menu.Item>
            )}
            {mayWrite && endpoint.status !== "disabled" && (
              <Menu.Item onClick={props.onDisable}>Disable</Menu.Item>
            )}
            {mayWrite && <Menu.Divider />}
            {mayWrite && (
              <Menu.Item color="red" onClick={props.onDelete}>
                Delete…
              </Menu.Item>
            )}
          </Menu.Dropdown>
        </Menu>
      )}
    </>
  );
}
