/** Form that saves the current filters as a view: the user's own, or shared in the environment. */
import { Button, Checkbox, Popover, TextInput, UnstyledButton } from "@mantine/core";
import { useState } from "react";
import { useMay } from "@/api/session";
import { useViewAct } from "@/api/views";
import { ActError } from "@/components/feedback/ErrorState";
import { formatFilters, type Filters } from "@/lib/filters";
import { type MessageView, newView, sameOwn } from "./views";

interface Props {
  filters: Filters;
  /** All views, so that an own one with the same name is replaced. */
  views: MessageView[];
}

export function SaveView({ filters, views }: Props) {
  const [isOpen, setOpen] = useState(false);
  const [label, setLabel] = useState("");
  const [isShared, setShared] = useState(false);
  const mayShare = useMay("views:write");
  const act = useViewAct();
  const search = formatFilters(filters);
  const replaced = isShared ? undefined : sameOwn(label.trim(), views);
  const save = () => {
    if (label.trim() === "") return;
    const wanted =
      replaced?.id === undefined
        ? { act: "create" as const, body: newView(label.trim(), search, isShared) }
        : { act: "update" as const, id: replaced.id, body: { filters: search } };
    act.mutate(wanted, {
      onSuccess: () => {
        setOpen(false);
        setLabel("");
      },
    });
  };
  return (
    <Popover opened={isOpen} onChange={setOpen} trapFocus position="bottom-end">
      <Popover.Target>
        <UnstyledButton className="link small" onClick={() => setOpen(true)}>
          Save…
        </UnstyledButton>
      </Popover.Target>
      <Popover.Dropdown>
        <form
          className="stack-small"
          onSubmit={(event) => {
            event.preventDefault();
            save();
          }}
        >
          <TextInput
            label="Name of the view"
            data-autofocus
            maxLength={100}
            value={label}
            onChange={(event) => setLabel(event.currentTarget.value)}
          />
          {mayShare && (
            <Checkbox
              label="Shared in this environment"
              description="Otherwise only you see it."
              checked={isShared}
              onChange={(event) => setShared(event.currentTarget.checked)}
            />
          )}
          <ActError error={act.error} />
          <Button type="submit" variant="filled" loading={act.isPending}>
            {replaced ? "Replace your view" : "Save view"}
          </Button>
        </form>
      </Popover.Dropdown>
    </Popover>
  );
}
