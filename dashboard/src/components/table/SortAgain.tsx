/** Offer to sort again, once live data has changed the order of what is shown. */
import { UnstyledButton } from "@mantine/core";

export function SortAgain({
  isStale,
  onSort,
  children,
}: {
  isStale: boolean;
  onSort: () => void;
  children: string;
}) {
  return isStale ? (
    <span className="row">
      The order has changed.
      <UnstyledButton className="link small" onClick={onSort}>
        Sort again
      </UnstyledButton>
    </span>
  ) : (
    <>{children}</>
  );
}
