/** Dry run of a form: asked again once the form rests, and fresh only for exactly this form. */
import { useDebouncedValue } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";

/** Time for which a form has to rest before it is counted. */
const RESTS_MS = 300;

/** Result of a dry run, with the time that it took and the time of its end. */
export interface Counted<R> {
  result: R;
  tookMs: number;
  at: number;
}

export interface DryRunState<R> {
  counted: Counted<R> | undefined;
  error: unknown;
  /** True if the result is that of the form as it stands. */
  isFresh: boolean;
  /** True if the form rests, so that its result is on the way. */
  isSettled: boolean;
}

interface Props<Q, R> {
  name: unknown[];
  request: Q;
  /** False while the form is incomplete: nothing is asked then. */
  isComplete: boolean;
  ask: (request: Q) => Promise<R>;
}

export function useDryRun<Q, R>({ name, request, isComplete, ask }: Props<Q, R>): DryRunState<R> {
  const key = JSON.stringify(request);
  const [settled] = useDebouncedValue(key, RESTS_MS);
  const counting = useQuery({
    queryKey: ["dry-run", ...name, settled],
    queryFn: async (): Promise<Counted<R>> => {
      const began = performance.now();
      const result = await ask(JSON.parse(settled) as Q);
      return { result, tookMs: performance.now() - began, at: Date.now() };
    },
    enabled: isComplete,
    placeholderData: (before) => before,
    staleTime: 0,
    gcTime: 0,
  });
  const isSettled = isComplete && settled === key;
  const isFresh = isSettled && counting.isSuccess && !counting.isFetching;
  return { counted: counting.data, error: counting.error, isFresh, isSettled };
}
