/** Filters of a list as chips, each with field, operator, value and removal. `f` opens the list of fields. */
import { Button, Popover, TextInput, UnstyledButton } from "@mantine/core";
import { IconPlus, IconSearch, IconX } from "@tabler/icons-react";
import { type ReactNode, useRef, useState } from "react";
import {
  type FilterField,
  filterProblem,
  type Filters,
  RANGES,
  withFilter,
  wordOfValue,
} from "@/lib/filters";
import { useKeys } from "@/shell/keys";
import { Keys } from "../feedback/Keys";
import classes from "./FilterBar.module.css";

interface Props {
  fields: FilterField[];
  filters: Filters;
  onChange: (filters: Filters) => void;
  /** Words for values that are ids. */
  wordOf?: (field: string, value: string) => string | undefined;
  search?: { value: string; placeholder: string; onSubmit: (text: string) => void };
  aside?: ReactNode;
  /** Inside of a card, whose content begins further left than that of a page. */
  isInCard?: boolean;
}

export function FilterBar({ fields, filters, onChange, wordOf, search, aside, isInCard = false }: Props) {
  const [open, setOpen] = useState<string | null>(null);
  const box = useRef<HTMLInputElement>(null);
  useKeys([
    { keys: "f", label: "Add a filter", run: () => setOpen("+") },
    ...(search ? [{ keys: "/", label: "Search in this page", run: () => box.current?.focus() }] : []),
  ]);
  const set = (name: string, values: string[]) => {
    setOpen(null);
    onChange(withFilter(filters, name, values));
  };
  const unset = fields.filter((field) => filters[field.name] === undefined);
  return (
    <div className={classes.bar} data-in-card={isInCard || undefined}>
      {search && (
        <form
          className={classes.search}
          onSubmit={(event) => {
            event.preventDefault();
            search.onSubmit(box.current?.value.trim() ?? "");
          }}
        >
          <TextInput
            ref={box}
            key={search.value}
            defaultValue={search.value}
            placeholder={search.placeholder}
            aria-label={search.placeholder}
            leftSection={<IconSearch size={14} stroke={1.8} />}
            rightSection={<Keys keys="/" />}
          />
        </form>
      )}
      {fields.map((field) => {
        const values = filters[field.name];
        if (values === undefined) return null;
        const words = values.map((value) => wordOf?.(field.name, value) ?? wordOfValue(field, value));
        return (
          <span key={field.name} className={classes.chip}>
            <Popover opened={open === field.name} onChange={(is) => !is && setOpen(null)} trapFocus>
              <Popover.Target>
                <UnstyledButton className={classes.chipMain} onClick={() => setOpen(field.name)}>
                  <span>{field.label}</span>
                  <span className={classes.operator}>{field.operator ?? "is"}</span>
                  <strong className={classes.value}>{words.join(" or ")}</strong>
                </UnstyledButton>
              </Popover.Target>
              <Popover.Dropdown>
                <Editor field={field} values={values} onSet={(next) => set(field.name, next)} />
              </Popover.Dropdown>
            </Popover>
            <UnstyledButton
              className={classes.remove}
              aria-label={`Remove the filter ${field.label}`}
              onClick={() => set(field.name, [])}
            >
              <IconX size={13} />
            </UnstyledButton>
          </span>
        );
      })}
      {unset.length > 0 && <AddFilter fields={unset} open={open} setOpen={setOpen} onSet={set} />}
      {Object.keys(filters).length > 0 && (
        <UnstyledButton className={classes.clear} onClick={() => onChange({})}>
          Clear all
        </UnstyledButton>
      )}
      {aside !== undefined && <span className={classes.aside}>{aside}</span>}
    </div>
  );
}

interface AddProps {
  fields: FilterField[];
  open: string | null;
  setOpen: (open: string | null) => void;
  onSet: (name: string, values: string[]) => void;
}

function AddFilter({ fields, open, setOpen, onSet }: AddProps) {
  const adding = open?.startsWith("+") ? fields.find((field) => `+${field.name}` === open) : undefined;
  return (
    <Popover
      opened={open?.startsWith("+") ?? false}
      onChange={(is) => !is && setOpen(null)}
      trapFocus
      position="bottom-start"
    >
      <Popover.Target>
        <UnstyledButton className={classes.add} onClick={() => setOpen("+")}>
          <IconPlus size={14} /> Filter <Keys keys="f" />
        </UnstyledButton>
      </Popover.Target>
      <Popover.Dropdown>
        {adding ? (
          <Editor field={adding} values={[]} onSet={(values) => onSet(adding.name, values)} />
        ) : (
          <div className={classes.fields}>
            {fields.map((field) => (
              <UnstyledButton
                key={field.name}
                className={classes.option}
                onClick={() => setOpen(`+${field.name}`)}
              >
                {field.label}
              </UnstyledButton>
            ))}
          </div>
        )}
      </Popover.Dropdown>
    </Popover>
  );
}

interface EditorProps {
  field: FilterField;
  values: string[];
  onSet: (values: string[]) => void;
}

function Editor({ field, values, onSet }: EditorProps) {
  const [text, setText] = useState(field.choices ? "" : values.join(","));
  const [problem, setProblem] = useState<string | null>(null);
  const choices =
    field.choices ?? (field.kind === "time" ? RANGES.map(({ value, label }) => ({ value, label })) : []);
  const matching = choices.filter((choice) => choice.label.toLowerCase().includes(text.toLowerCase()));
  const choose = (value: string) => {
    const isSet = values.includes(value);
    onSet(field.several ? (isSet ? values.filter((one) => one !== value) : [...values, value]) : [value]);
  };
  return (
    <form
      className={classes.editor}
      onSubmit={(event) => {
        event.preventDefault();
        event.stopPropagation();
        const first = matching[0];
        if (field.choices && first) return choose(first.value);
        const wrong = text === "" ? null : filterProblem(field, text);
        setProblem(wrong);
        if (wrong === null) onSet(text === "" ? [] : [text]);
      }}
    >
      {(field.kind !== "choice" || choices.length > 6) && (
        <TextInput
          data-autofocus
          label={field.label}
          value={text}
          placeholder={field.kind === "time" ? "2026-11-29T12:00:00Z" : undefined}
          error={problem}
          onChange={(event) => setText(event.currentTarget.value)}
        />
      )}
      <div className={classes.fields}>
        {(field.kind === "time" ? choices : matching).map((choice) => (
          <UnstyledButton
            key={choice.value}
            className={classes.option}
            aria-pressed={values.includes(choice.value)}
            onClick={() => choose(choice.value)}
          >
            {choice.label}
          </UnstyledButton>
        ))}
      </div>
      {field.kind !== "choice" && (
        <Button type="submit" variant="filled">
          Apply
        </Button>
      )}
    </form>
  );
}
