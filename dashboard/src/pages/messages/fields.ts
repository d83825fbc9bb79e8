/** Fields that messages can be filtered by. */
import { MESSAGE_STATES } from "@/components/status/states";
import type { FilterField } from "@/lib/filters";

export function messageFields(
  eventTypes: { name: string }[],
  applications: { id: string; name: string }[],
): FilterField[] {
  return [
    {
      name: "status",
      label: "Status",
      kind: "choice",
      several: true,
      choices: Object.entries(MESSAGE_STATES).map(([value, state]) => ({ value, label: state.word })),
    },
    {
      name: "event_type",
      label: "Event type",
      kind: "choice",
      several: true,
      choices: eventTypes.map((type) => ({ value: type.name, label: type.name })),
    },
    {
      name: "application_id",
      label: "Application",
      kind: "choice",
      choices: applications.map((application) => ({ value: application.id, label: application.name })),
    },
    { name: "since", label: "Accepted", operator: "since", kind: "time" },
    { name: "until", label: "Accepted", operator: "before", kind: "time" },
    { name: "endpoint_id", label: "Endpoint id", kind: "text" },
    { name: "event_id", label: "Event id", kind: "text" },
    { name: "channel", label: "Channel", kind: "text" },
    { name: "search", label: "Text", operator: "contains", kind: "text" },
  ];
}
