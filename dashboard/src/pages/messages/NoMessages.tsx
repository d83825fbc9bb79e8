/** Empty list of messages: what to do first, or which filter to remove. */
import { Button } from "@mantine/core";
import { IconMail } from "@tabler/icons-react";
import { EmptyState } from "@/components/feedback/EmptyState";
import { type FilterField, type Filters, filterWords, withFilter } from "@/lib/filters";
import { counted } from "@/lib/words/numbers";

interface Props {
  fields: FilterField[];
  filters: Filters;
  isLooking: boolean;
  /** Number of messages that match without the filter by status; 0 if it is not known. */
  withoutStatus: number;
  /** Looks further; absent if there is nothing older. */
  onMore: (() => void) | undefined;
  onChange: (filters: Filters) => void;
}

export function NoMessages({ fields, filters, isLooking, withoutStatus, onMore, onChange }: Props) {
  const names = Object.keys(filters);
  const status = fields.find((field) => field.name === "status");
  const statuses = filters["status"] ?? [];
  const last = fields.findLast((field) => names.includes(field.name));
  if (names.length === 0) {
    return (
      <EmptyState
        icon={IconMail}
        title="No messages yet"
        command={`hookstream send --app acme --type invoice.paid --data '{"invoice_id":42}'`}
      >
        Your product sends the first one.
      </EmptyState>
    );
  }
  return (
    <EmptyState
      icon={IconMail}
      title={isLooking ? "No message matches so far" : "No message matches"}
      actions={
        <>
          {last && names.length > 1 && (
            <Button onClick={() => onChange(withFilter(filters, last.name, []))}>Without {last.label}</Button>
          )}
          {onMore && !isLooking && <Button onClick={onMore}>Look further back</Button>}
          <Button onClick={() => onChange({})}>Clear all</Button>
        </>
      }
    >
      {status && statuses.length > 0 && withoutStatus > 0
        ? `${counted(withoutStatus, "message matches", "messages match")} without "${filterWords(status, statuses)}". `
        : ""}
      {isLooking
        ? "Older messages are still being looked through."
        : onMore
          ? "Nothing newer matches. Older messages were not looked through yet."
          : "Remove a filter to see more."}
    </EmptyState>
  );
}
