/** Form with one save, which the sections share. */
import { Button } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { fieldsOf, sentenceAtField } from "@/api/errors";
import { ActError } from "@/components/feedback/ErrorState";
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
