/** Parts that the sections share: a form with one save, and a card that loads. */
import { Button } from "@mantine/core";
import type { UseQueryResult } from "@tanstack/react-query";
import { useMutation } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { fieldsOf, sentenceAtField } from "@/api/errors";
import { ActError, ErrorState } from "@/components/feedback/ErrorState";
import { Skeletons } from "@/components/feedback/Skeletons";
import classes from "../pages.module.css";

interface SaveFormProps {
  save: () => Promise<unknown>;
  verb?: string;
  isDisabled?: boolean;
  /** Fields that show their errors themselves. */
  fields?: string[];
  /** A function gets the error of the server at a field. */
  children: ReactNode | ((problemOf: (field: string) => string | undefined) => ReactNode);
}

export function SaveForm({ save, verb = "Save", isDisabled = false, fields = [], children }: SaveFormProps) {
  const saving = useMutation({ mutationFn: save });
  const field = fieldsOf(saving.error).find((one) => fields.includes(one));
  const problemOf = (name: string) => (name === field ? sentenceAtField(saving.error) : undefined);
  return (
    <form
      className={classes.form}
      onSubmit={(event) => {
        event.preventDefault();
        saving.mutate();
      }}
    >
      {typeof children === "function" ? children(problemOf) : children}
      {field === undefined && <ActError error={saving.error} />}
      <div>
        <Button type="submit" variant="filled" disabled={isDisabled} loading={saving.isPending}>
          {verb}
        </Button>
      </div>
    </form>
  );
}

/** Shows what a query read, or its shape, or its error. */
export function Loaded<T>({
  what,
  query,
  children,
}: {
  what: string;
  query: UseQueryResult<T>;
  children: (data: T) => ReactNode;
}) {
  if (query.data !== undefined) return children(query.data);
  if (query.isError)
    return <ErrorState what={what} error={query.error} onRetry={() => void query.refetch()} />;
  return <Skeletons rows={4} />;
}
