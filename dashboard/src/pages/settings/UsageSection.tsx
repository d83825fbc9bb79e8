/** Usage against quotas, stored bytes and the forecast. */
import { useQuery } from "@tanstack/react-query";
import { quotasQuery, usageQuery } from "@/api/engine";
import { Loaded } from "@/components/feedback/Loaded";
import { Card, Facts, Figures } from "@/components/page/Card";
import { RelativeTime } from "@/components/time/RelativeTime";
import { PlainTable } from "@/components/table/PlainTable";
import { bytes, count, counted } from "@/lib/words/numbers";

const limit = (value: number | null | undefined) =>
  value === null || value === undefined ? "no quota" : `of ${count(value)}`;

export function UsageSection() {
  const quotas = useQuery(quotasQuery);
  const usage = useQuery(usageQuery);
  return (
    <>
      <Card title="Quotas">
        <Loaded what="Quotas" query={quotas}>
          {(data) => (
            <Figures
              figures={[
                {
                  label: "Messages this month",
                  value: count(data.events.used),
                  note: limit(data.events.limit),
                },
                {
                  label: "Applications",
                  value: count(data.applications.used),
                  note: limit(data.applications.limit),
                },
                {
                  label: "Event types",
                  value: count(data.event_types.used),
                  note: limit(data.event_types.limit),
                },
                {
                  label: "Environments",
                  value: count(data.environments.used),
                  note: limit(data.environments.limit),
                },
              ]}
            />
          )}
        </Loaded>
      </Card>
      <Card title="Storage and retention">
        <Loaded what="Usage" query={usage}>
          {({ storage, disk }) => (
            <Facts
              facts={[
                [
                  "Payloads",
                  `${bytes(storage.payload_bytes)}${storage.max_payload_bytes ? ` of ${bytes(storage.max_payload_bytes)}` : ""}`,
                ],
                ["Messages kept", counted(storage.retention_days, "day")],
                ["Payloads kept", counted(storage.payload_retention_days, "day")],
                ["Each day", storage.bytes_per_day ? bytes(storage.bytes_per_day) : null],
                [
                  "Forecast",
                  storage.forecast === "budget_reached"
                    ? `The budget is reached in ${counted(storage.forecast_in_days ?? 0, "day")}. Then the oldest payloads go before their time.`
                    : storage.forecast === "levels_out" && storage.level_bytes
                      ? `Levels out at ${bytes(storage.level_bytes)}.`
                      : "Not known yet.",
                ],
                ["Disk", disk ? bytes(disk.bytes) : null],
              ]}
            />
          )}
        </Loaded>
      </Card>
      {usage.data && usage.data.days.length > 0 && (
        <Card title="By day">
          <PlainTable
            label="Deliveries by day"
            rows={[...usage.data.days].reverse().slice(0, 31)}
            idOf={(row) => row.day}
            columns={[
              { head: "Day", cell: (row) => row.day },
              { head: "Messages", cell: (row) => count(row.messages), isNumber: true },
              { head: "Deliveries", cell: (row) => count(row.accepted), isNumber: true },
              { head: "Succeeded", cell: (row) => count(row.succeeded), isNumber: true },
              { head: "Pending", cell: (row) => count(row.pending), isNumber: true },
              { head: "Exhausted", cell: (row) => count(row.exhausted), isNumber: true },
              { head: "Skipped", cell: (row) => count(row.skipped), isNumber: true },
              { head: "Payloads", cell: (row) => bytes(row.payload_bytes), isNumber: true },
            ]}
          />
        </Card>
      )}
      {quotas.data && (
        <p className="small ink-3">
          The month ends <RelativeTime value={quotas.data.events.resets_at} />.
        </p>
      )}
    </>
  );
}
