/** Shapes of the final size while something loads. They appear after 150 ms, so that a quick answer shows none. */
import classes from "./feedback.module.css";

export function Skeletons({ rows = 3, height = 36 }: { rows?: number; height?: number }) {
  return (
    <div className={classes.skeletons} role="status" aria-label="Loading">
      {Array.from({ length: rows }, (_, index) => (
        <div key={index} className={classes.skeletonRow} style={{ height }}>
          <span className={classes.bone} style={{ width: `${12 + ((index * 7) % 9)}%` }} />
          <span className={classes.bone} style={{ width: `${30 + ((index * 11) % 25)}%` }} />
          <span className={classes.bone} style={{ width: `${8 + ((index * 5) % 6)}%` }} />
        </div>
      ))}
    </div>
  );
}
