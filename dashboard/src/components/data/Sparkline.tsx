/** Small curve beside the number it leads to, filled to the base. */
import { pathOf } from "./sparkline";
import classes from "./Sparkline.module.css";

const WIDTH = 72;
const HEIGHT = 26;

export function Sparkline({
  values,
  isBad = false,
  label,
}: {
  values: number[];
  isBad?: boolean;
  label: string;
}) {
  const path = pathOf(values, WIDTH, HEIGHT);
  return (
    <svg
      width={WIDTH}
      height={HEIGHT}
      role="img"
      aria-label={label}
      className={isBad ? classes.bad : classes.neutral}
    >
      <path d={`${path} V${HEIGHT} H0 Z`} className={classes.area} />
      <path d={path} className={classes.line} />
    </svg>
  );
}
