/** Drawer that adds or changes an endpoint. Only changed fields are sent; leaving with changes asks. */
import { Button } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { queryClient, type Schemas } from "@/api/client";
import { createEndpoint, type Endpoint, updateEndpoint } from "@/api/endpoints";
import { endpointLink } from "@/components/data/links";
import { Banner } from "@/components/feedback/Banner";
import { ActError } from "@/components/feedback/ErrorState";
import { FormDrawer } from "@/components/feedback/FormDrawer";
import { toast } from "@/components/feedback/toast";
import { IdCopy } from "@/components/status/IdCopy";
import classes from "../../pages.module.css";
import { EndpointInputs } from "./EndpointInputs";
import { changesOf, type Fields, fieldsOf, type InputsProps } from "./fields";
import { OperationalInputs } from "./OperationalInputs";

interface Props {
  isOpen: boolean;
  onClose: () => void;
  /** Application of the endpoint; null for an operational endpoint. */
  appId: string | null;
  endpoint?: Endpoint;
}

export function EndpointDrawer({ isOpen, onClose, appId, endpoint }: Props) {
  return (
    <FormDrawer
      isOpen={isOpen}
      onClose={onClose}
      title={endpoint ? "Edit the endpoint" : "Add an endpoint"}
      unsaved={endpoint ? "The endpoint stays as it was." : "The endpoint is not added."}
    >
      {(form) => <Form appId={appId} {...(endpoint ? { endpoint } : {})} {...form} />}
    </FormDrawer>
  );
}

interface FormProps {
  /** Application of the endpoint; null for an operational endpoint. */
  appId: string | null;
  endpoint?: Endpoint;
  onChanged: (isChanged: boolean) => void;
  onDone: () => void;
}

function Form({ appId, endpoint, onChanged, onDone }: FormProps) {
  const navigate = useNavigate();
  // The state in which the form began: changes of others meanwhile are neither shown as changes here nor undone by saving.
  const [start, setStart] = useState(endpoint);
  const before = useMemo(() => fieldsOf(start), [start]);
  const isStale = start !== undefined && endpoint?.updated_at !== start.updated_at;
  const reload = () => {
    setStart(endpoint);
    setFields(fieldsOf(endpoint));
    onChanged(false);
  };
  const [fields, setFields] = useState(before);
  const [secret, setSecret] = useState<{ id: string; value: string } | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const set = <K extends keyof Fields>(name: K, value: Fields[K]) => {
    const next = { ...fields, [name]: value };
    setFields(next);
    onChanged(Object.keys(changesOf(next, before)).length > 0);
  };
  const changes = changesOf(fields, before);
  const saving = useMutation({
    mutationFn: async () => {
      if (endpoint) return updateEndpoint({ appId, id: endpoint.id }, changes);
      return createEndpoint(appId, changes as Schemas["CreateEndpoint"]);
    },
    onSuccess: async (answer) => {
      await queryClient.invalidateQueries({ queryKey: ["endpoints"] });
      for (const warning of answer.warnings ?? []) toast(warning);
      if (endpoint) {
        toast("The endpoint is saved.");
        onDone();
      } else if (answer.endpoint.signing_secret) {
        onChanged(false);
        setSecret({ id: answer.endpoint.id, value: answer.endpoint.signing_secret });
      } else onDone();
    },
  });
  if (secret !== null) {
    return (
      <div className="stack">
        <Banner tone="careful">
          The signing secret is shown once. The receiver verifies webhooks with it.
        </Banner>
        <IdCopy value={secret.value} isFull label="signing secret" />
        <Button variant="filled" onClick={() => void navigate(endpointLink({ appId, id: secret.id }))}>
          Open the endpoint
        </Button>
      </div>
    );
  }
  const inputs: InputsProps = {
    fields,
    set,
    mark: (name) => (endpoint && name in changes ? " (changed)" : ""),
    hasHeaders: Boolean(endpoint?.headers),
  };
  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault();
        saving.mutate();
      }}
    >
      {isStale && !saving.isPending && !saving.isSuccess && (
        <Banner tone="careful" action={<Button onClick={reload}>Reload</Button>}>
          This endpoint changed elsewhere. Saving changes only the fields that you have changed here.
        </Banner>
      )}
      {appId === null ? (
        <OperationalInputs {...inputs} onProblem={setProblem} />
      ) : (
        <EndpointInputs {...inputs} />
      )}
      <ActError error={saving.error} />
      <div className={classes.dialogActions}>
        <Button
          type="submit"
          variant="filled"
          loading={saving.isPending}
          disabled={problem !== null || (endpoint !== undefined && Object.keys(changes).length === 0)}
        >
          {endpoint ? "Save" : "Add endpoint"}
        </Button>
      </div>
    </form>
  );
}
