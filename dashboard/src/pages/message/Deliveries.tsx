/** Deliveries of a message, one for each endpoint, and the endpoints that did not want it. */
import { UnstyledButton } from "@mantine/core";
import { useState } from "react";
import type { Delivery, ExplainedEndpoint } from "@/api/messages";
import { Card } from "@/components/page/Card";
import { deliveryState } from "@/components/status/states";
import { StatusBadge } from "@/components/status/StatusBadge";
import { Countdown } from "@/components/time/Countdown";
import { Sentence } from "@/components/time/Sentence";
import { shortUrl } from "@/lib/words/ids";
import { counted } from "@/lib/words/numbers";
import classes from "../pages.module.css";

/** Time after which an attempt that is due counts as queued. */
const QUEUED_AFTER_MS = 5000;

function isPast(time: string): boolean {
  return Date.now() - Date.parse(time) > QUEUED_AFTER_MS;
}

interface Props {
  deliveries: Delivery[];
  selected: string | undefined;
  nameOf: (endpointId: string, url: string | null | undefined) => string;
  unmatched: ExplainedEndpoint[];
  onSelect: (endpointId: string) => void;
}

export function Deliveries({ deliveries, selected, nameOf, unmatched, onSelect }: Props) {
  const [isOpen, setOpen] = useState(false);
  const arrived = deliveries.filter((one) => one.status === "succeeded").length;
  return (
    <Card title="Deliveries" aside={`${arrived} of ${deliveries.length} arrived`}>
      {deliveries.map((delivery) => (
        <UnstyledButton
          key={delivery.endpoint_id}
          className={classes.choice}
          aria-pressed={delivery.endpoint_id === selected}
          onClick={() => onSelect(delivery.endpoint_id)}
        >
          <span className={classes.between}>
            <span className="name cut">{nameOf(delivery.endpoint_id, delivery.endpoint_url)}</span>
            <StatusBadge state={deliveryState(delivery)} detail={delivery.reason ?? undefined} />
          </span>
          <span className={classes.between}>
            <code className="ink-3 cut">
              {delivery.endpoint_url ? shortUrl(delivery.endpoint_url) : "deleted"}
            </code>
            <span className={`small ink-2 ${classes.nowrap ?? ""}`}>
              {delivery.next_attempt_at && isPast(delivery.next_attempt_at) ? (
                `attempt ${delivery.attempt_count + 1} queued`
              ) : delivery.next_attempt_at ? (
                <>
                  attempt {delivery.attempt_count + 1} <Countdown to={delivery.next_attempt_at} />
                </>
              ) : (
                (delivery.reason ?? counted(delivery.attempt_count, "attempt"))
              )}
            </span>
          </span>
        </UnstyledButton>
      ))}
      {deliveries.length === 0 && <p className={classes.sum}>No endpoint wants this event type.</p>}
      {unmatched.length > 0 && (
        <div className={classes.choice}>
          <span className="small ink-2">
            Not for {counted(unmatched.length, "other endpoint")}.{" "}
            <UnstyledButton
              className="small"
              c="var(--accent-ink)"
              onClick={() => setOpen(!isOpen)}
              aria-expanded={isOpen}
            >
              {isOpen ? "Hide" : "Why not"}
            </UnstyledButton>
          </span>
          {isOpen &&
            unmatched.map((one) => (
              <span key={one.endpoint_id} className="small ink-2">
                <code>{one.endpoint_url ? shortUrl(one.endpoint_url) : one.endpoint_id}</code>:{" "}
                <Sentence text={one.why} />
              </span>
            ))}
        </div>
      )}
    </Card>
  );
}
