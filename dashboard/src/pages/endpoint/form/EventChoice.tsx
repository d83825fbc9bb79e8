/** Check boxes of operational events in groups, with a sentence about each. */
import { Checkbox } from "@mantine/core";
import type { OperationalEventType } from "@/api/operational";
import { Sentence } from "@/components/time/Sentence";
import { groupsOf, isChosen, titleOf, withGroup, withType } from "./event-choice";
import classes from "./EventChoice.module.css";

interface Props {
  types: OperationalEventType[];
  choice: string[];
  onChange: (choice: string[]) => void;
}

export function EventChoice({ types, choice, onChange }: Props) {
  return (
    <div className={classes.groups}>
      {groupsOf(types).map((group) => {
        const chosen = group.types.filter((type) => isChosen(choice, type.name)).length;
        const isWhole = chosen === group.types.length;
        return (
          <fieldset key={group.prefix} className={classes.group}>
            <legend className="visually-hidden">{titleOf(group.prefix)}</legend>
            {group.types.length > 1 && (
              <Checkbox
                className={classes.whole ?? ""}
                label={<span className="name">{titleOf(group.prefix)}</span>}
                checked={isWhole}
                indeterminate={chosen > 0 && !isWhole}
                onChange={(event) => onChange(withGroup(choice, event.currentTarget.checked, group))}
              />
            )}
            {group.types.map((type) => (
              <Checkbox
                key={type.name}
                className={(group.types.length > 1 && classes.part) || ""}
                label={<code>{type.name}</code>}
                description={<Sentence text={type.description} />}
                checked={isChosen(choice, type.name)}
                onChange={(event) =>
                  onChange(withType(choice, type.name, event.currentTarget.checked, group))
                }
              />
            ))}
          </fieldset>
        );
      })}
    </div>
  );
}
