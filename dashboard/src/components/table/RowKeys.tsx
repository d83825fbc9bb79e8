/** Keys of a list, at the left of its footer. */
import { Keys } from "../feedback/Keys";

export function RowKeys({ more = [] }: { more?: [string, string][] }) {
  const keys: [string, string][] = [["j k", "move"], ["↵", "open"], ...more, ["?", "all keys"]];
  return (
    <span className="row from-tablet">
      {keys.map(([key, word]) => (
        <span key={key} className="row">
          <Keys keys={key} /> {word}
        </span>
      ))}
    </span>
  );
}
