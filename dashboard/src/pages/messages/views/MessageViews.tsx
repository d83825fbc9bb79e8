/** Views of messages: tabs, and what differs from them. Views of one's own are kept in this browser. */
import { Button, Popover, TextInput, UnstyledButton } from "@mantine/core";
import { useState } from "react";
import { Views } from "@/components/filters/Views";
import type { Filters } from "@/lib/filters";
import { useViewCounts } from "./view-counts";
import { filtersOf, readViews, viewOf, viewsOf, withoutView, withView, writeViews } from "./views";

interface Props {
  filters: Filters;
  onChange: (filters: Filters) => void;
}

export function MessageViews({ filters, onChange }: Props) {
  const [stored, setStored] = useState(readViews);
  const [isSaving, setSaving] = useState(false);
  const [label, setLabel] = useState("");
  const views = viewsOf(stored);
  const current = viewOf(filters, views);
  const counts = useViewCounts(views);
  const store = (text: string) => {
    writeViews(text);
    setStored(text);
  };
  const open = (name: string) => {
    const view = views.find((one) => one.name === name);
    if (view) onChange(filtersOf(view));
  };
  return (
    <Views
      label="Views"
      views={views.map((view) => ({ ...view, count: counts.get(view.name) }))}
      selected={current?.name ?? null}
      onSelect={open}
      aside={
        current === undefined ? (
          <>
            Filters differ from every view
            <UnstyledButton className="link small" onClick={() => onChange({})}>
              Reset
            </UnstyledButton>
            <Popover opened={isSaving} onChange={setSaving} trapFocus position="bottom-end">
              <Popover.Target>
                <UnstyledButton className="link small" onClick={() => setSaving(true)}>
                  Save…
                </UnstyledButton>
              </Popover.Target>
              <Popover.Dropdown>
                <form
                  className="stack-small"
                  onSubmit={(event) => {
                    event.preventDefault();
                    if (label.trim() === "") return;
                    store(withView(stored, label.trim(), filters));
                    setSaving(false);
                    setLabel("");
                  }}
                >
                  <TextInput
                    label="Name of the view"
                    description="Kept in this browser only."
                    data-autofocus
                    value={label}
                    onChange={(event) => setLabel(event.currentTarget.value)}
                  />
                  <Button type="submit" variant="filled">
                    Save view
                  </Button>
                </form>
              </Popover.Dropdown>
            </Popover>
          </>
        ) : (
          current.isOwn && (
            <>
              Only in this browser
              <UnstyledButton className="link small" onClick={() => store(withoutView(stored, current.name))}>
                Remove the view
              </UnstyledButton>
            </>
          )
        )
      }
    />
  );
}
