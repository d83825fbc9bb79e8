/** Settings of an endpoint, for reading. Only those are listed that are set, beside the few that always matter. */
import type { Endpoint, EndpointPath } from "@/api/endpoints";
import { UnstyledButton } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { eventTypesQuery, wants } from "@/api/event-types";
import { operationalEventTypesQuery } from "@/api/operational";
import { Card, Facts } from "@/components/page/Card";
import { RelativeTime } from "@/components/time/RelativeTime";
import { span } from "@/lib/words/durations";
import { listOf, objectOf } from "@/lib/json/json";
import { counted } from "@/lib/words/numbers";

const ON_FAILURE = {
  block: "those behind it wait",
  skip: "those behind it go on",
  park: "those behind it go on, it stays pending",
};

interface Props {
  path: EndpointPath;
  endpoint: Endpoint;
  /** Opens the form; absent for roles that may not change it. */
  onEdit?: (() => void) | undefined;
  /** True where the settings have the page for themselves: then all of them are listed. */
  isWide?: boolean;
}

export function EndpointSettings({ path, endpoint, onEdit, isWide = false }: Props) {
  const isOperational = path.appId === null;
  const { data: ofApplications } = useQuery({ ...eventTypesQuery, enabled: !isOperational });
  const { data: operational } = useQuery({ ...operationalEventTypesQuery, enabled: isOperational });
  const eventTypes: { name: string }[] | undefined = isOperational ? operational : ofApplications;
  const types = listOf(endpoint.filter_types);
  const channels = listOf(endpoint.channels);
  const schedule = listOf(endpoint.retry_schedule).map(Number);
  const headers = Object.keys(objectOf(endpoint.headers));
  const metadata = Object.entries(objectOf(endpoint.metadata));
  return (
    <Card
      title="Settings"
      aside={
        onEdit && (
          <UnstyledButton className="link small" onClick={onEdit}>
            Edit…
          </UnstyledButton>
        )
      }
    >
      <Facts
        facts={[
          [
            "Event types",
            types.length === 0 ? (
              (eventTypes && `all ${eventTypes.length}`) || "all"
            ) : (
              <span key="types">
                {eventTypes &&
                  `${eventTypes.filter((type) => wants(types, type.name)).length} of ${eventTypes.length}: `}
                <code>{types.join(", ")}</code>
              </span>
            ),
          ],
          ["Channels", channels.length === 0 ? null : <code key="channels">{channels.join(", ")}</code>],
          ["Kind", endpoint.type],
          ["Signing", endpoint.signing_algorithm === "ed25519" ? "Ed25519" : "HMAC-SHA256"],
          [
            "Rate limit",
            endpoint.rate_limit_per_second ? `${endpoint.rate_limit_per_second} per second` : "no limit",
          ],
          [
            "Order",
            endpoint.ordering === "none" ? (
              "none"
            ) : endpoint.ordering === "key" ? (
              <>
                by <code>{endpoint.ordering_key}</code>
              </>
            ) : (
              "strict"
            ),
          ],
          ["If one fails", endpoint.ordering === "none" ? null : ON_FAILURE[endpoint.on_failure]],
          ["Batch", endpoint.batch ? `up to ${endpoint.batch.max_size} messages` : "off"],
          ["Timeout", endpoint.timeout_ms ? `${endpoint.timeout_ms / 1000} s` : "of the installation"],
          [
            "Retries",
            schedule.length === 0
              ? "of the installation"
              : `${counted(schedule.length, "retry", "retries")} over ${span(schedule.reduce((sum, seconds) => sum + seconds, 0))}`,
          ],
          [
            "Headers",
            headers.length === 0
              ? null
              : headers.map((name) => (
                  <div key={name}>
                    <code>{name} ••••••••</code>
                  </div>
                )),
          ],
          [
            "Metadata",
            metadata.length === 0 || !isWide
              ? null
              : metadata.map(([name, value]) => (
                  <div key={name}>
                    <code>
                      {name}: {String(value)}
                    </code>
                  </div>
                )),
          ],
          [
            "Expires",
            endpoint.expires_at ? <RelativeTime key="expires" value={endpoint.expires_at} /> : null,
          ],
          ["Changed", <RelativeTime key="changed" value={endpoint.updated_at} />],
        ]}
      />
    </Card>
  );
}
