/** Keys as keycaps. Hidden on devices without a keyboard. */
import classes from "./feedback.module.css";

export function Keys({ keys }: { keys: string }) {
  return (
    <span className={classes.keys} aria-hidden>
      {keys.split(" ").map((key, index) => (
        <kbd key={index} className={classes.key}>
          {key}
        </kbd>
      ))}
    </span>
  );
}
