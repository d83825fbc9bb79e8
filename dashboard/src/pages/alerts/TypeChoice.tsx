/** First step of a form: the type, each with a line that says what it is for. */
import { UnstyledButton } from "@mantine/core";
import { IconChevronRight } from "@tabler/icons-react";
import type { ComponentType } from "react";
import classes from "./alerts.module.css";

export interface Choice {
  value: string;
  label: string;
  text: string;
  icon: ComponentType<{ size?: number; stroke?: number }>;
}

interface Props<V extends string> {
  label: string;
  choices: (Choice & { value: V })[];
  /** Why a type cannot be chosen. */
  problemOf?: (value: V) => string | null;
  onChoose: (value: V) => void;
}

export function TypeChoice<V extends string>({ label, choices, problemOf, onChoose }: Props<V>) {
  return (
    <div role="group" aria-label={label} className={classes.types}>
      {choices.map(({ value, label: name, text, icon: Icon }, index) => {
        const problem = problemOf?.(value) ?? null;
        return (
          <UnstyledButton
            key={value}
            className={classes.type}
            disabled={problem !== null}
            autoFocus={index === 0}
            data-autofocus={index === 0 || undefined}
            onClick={() => onChoose(value)}
          >
            <Icon size={18} stroke={1.7} />
            <span className="grow">
              <span className="name">{name}</span>
              <span className={classes.typeText}>{problem ?? text}</span>
            </span>
            {problem === null && <IconChevronRight size={15} stroke={1.7} />}
          </UnstyledButton>
        );
      })}
    </div>
  );
}

/** Type that was chosen, with the way back while it can still be changed. */
export function ChosenType({ choice, onChange }: { choice: Choice; onChange?: (() => void) | undefined }) {
  const Icon = choice.icon;
  return (
    <div className={classes.chosen}>
      <Icon size={18} stroke={1.7} />
      <span className="grow">
        <span className="name">{choice.label}</span>
        <span className={classes.typeText}>{choice.text}</span>
      </span>
      {onChange && (
        <UnstyledButton className="link" onClick={onChange}>
          Change
        </UnstyledButton>
      )}
    </div>
  );
}
