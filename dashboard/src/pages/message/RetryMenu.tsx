/** Retry of a message: what failed, all of it, one endpoint, or everything that an endpoint missed. */
import { Button, Menu } from "@mantine/core";
import { IconChevronDown, IconRotateClockwise } from "@tabler/icons-react";
import { useNavigate } from "@tanstack/react-router";
import type { Delivery, RetryOf } from "@/api/messages";
import { Keys } from "@/components/feedback/Keys";
import { counted } from "@/lib/words/numbers";
import { calendar, timeOfDay } from "@/lib/words/times";
import classes from "./Message.module.css";

interface Props {
  /** Application of the message; null for an operational one. */
  appId: string | null;
  deliveries: Delivery[];
  failed: Delivery[];
  selected: Delivery | undefined;
  nameOf: (delivery: Delivery) => string;
  isBusy: boolean;
  mayRecover: boolean;
  onRetry: (what: RetryOf) => void;
  /** Text of the button; the bar at the foot of a phone says what it does. */
  label?: string;
}

export function RetryMenu({
  appId,
  deliveries,
  failed,
  selected,
  nameOf,
  isBusy,
  mayRecover,
  onRetry,
  label,
}: Props) {
  const navigate = useNavigate();
  const arrived = deliveries.filter((one) => one.status === "succeeded").length;
  const reachable = deliveries.filter((one) => one.endpoint_url);
  return (
    <Menu width={330}>
      <Menu.Target>
        <Button
          {...(label === undefined ? { variant: "filled" } : {})}
          loading={isBusy}
          leftSection={label === undefined && <IconRotateClockwise size={15} stroke={1.8} />}
          rightSection={<IconChevronDown size={14} />}
        >
          {label ?? "Retry"}
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>Send again, same webhook-id</Menu.Label>
        {failed.length > 0 && (
          <Menu.Item rightSection={<Keys keys="r" />} onClick={() => onRetry({ kind: "failed" })}>
            <Words
              title={failed.length === 1 ? "The failed delivery" : `The ${failed.length} failed deliveries`}
              detail={
                failed.length === 1 && failed[0] ? `${nameOf(failed[0])}, now${insteadOf(failed[0])}` : "now"
              }
            />
          </Menu.Item>
        )}
        <Menu.Item rightSection={<Keys keys="⇧R" />} onClick={() => onRetry({ kind: "all" })}>
          <Words
            title={
              deliveries.length === 1
                ? "The delivery"
                : `All ${counted(deliveries.length, "delivery", "deliveries")}`
            }
            detail={againWords(arrived, deliveries.length)}
          />
        </Menu.Item>
        {reachable.length > 1 && (
          <>
            <Menu.Divider />
            <Menu.Label>To one endpoint</Menu.Label>
            {reachable.slice(0, 8).map((one) => (
              <Menu.Item
                key={one.endpoint_id}
                onClick={() => onRetry({ kind: "endpoint", endpointId: one.endpoint_id })}
              >
                {nameOf(one)}
              </Menu.Item>
            ))}
          </>
        )}
        {mayRecover && appId !== null && selected?.endpoint_url && (
          <>
            <Menu.Divider />
            <Menu.Item
              onClick={() =>
                void navigate({
                  to: "/dashboard/endpoints/$appId/$id",
                  params: { appId, id: selected.endpoint_id },
                  search: { recover: "1" },
                })
              }
            >
              <Words
                title="Recover all this endpoint missed…"
                detail={`${nameOf(selected)}, dry run first`}
              />
            </Menu.Item>
          </>
        )}
      </Menu.Dropdown>
    </Menu>
  );
}

function Words({ title, detail }: { title: string; detail: string }) {
  return (
    <span className={classes.words}>
      <span>{title}</span>
      <span className="small ink-2">{detail}</span>
    </span>
  );
}

function againWords(arrived: number, all: number): string {
  if (arrived === 0) return all === 1 ? "it has not arrived yet" : "none of them has arrived yet";
  if (all === 1) return "it arrived and will be seen twice";
  return `${arrived} of them arrived and will be seen twice`;
}

function insteadOf(delivery: Delivery): string {
  if (!delivery.next_attempt_at) return "";
  const time = new Date(delivery.next_attempt_at);
  const now = new Date();
  if (time <= now) return "";
  return ` instead of ${time.toDateString() === now.toDateString() ? timeOfDay(time) : calendar(time, now)}`;
}
