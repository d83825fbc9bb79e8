/** Returns the path of a curve from 0 to its largest value. */
export function pathOf(values: number[], width: number, height: number): string {
  const most = Math.max(...values, 1);
  const step = values.length > 1 ? width / (values.length - 1) : width;
  const points = values.map((value, index) => {
    const y = height - 1 - (value / most) * (height - 2);
    return `${(index * step).toFixed(1)} ${y.toFixed(1)}`;
  });
  return points.length === 0 ? "M0 0" : `M${points.join(" L")}`;
}
