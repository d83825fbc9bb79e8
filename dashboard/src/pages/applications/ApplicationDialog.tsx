/** Dialog that creates or changes an application. */
import { Button, Modal, NumberInput, Textarea, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { type Application, createApplication, updateApplication } from "@/api/applications";
import { queryClient } from "@/api/client";
import { ActError } from "@/components/feedback/ErrorState";
import { toast } from "@/components/feedback/toast";
import classes from "../pages.module.css";

interface Props {
  isOpen: boolean;
  onClose: () => void;
  application?: Application;
}

export function ApplicationDialog({ isOpen, onClose, application }: Props) {
  return (
    <Modal
      opened={isOpen}
      onClose={onClose}
      title={application ? "Edit the application" : "Create an application"}
    >
      {isOpen && <Form onClose={onClose} {...(application ? { application } : {})} />}
    </Modal>
  );
}

function Form({ application, onClose }: Omit<Props, "isOpen">) {
  const navigate = useNavigate();
  const [name, setName] = useState(application?.name ?? "");
  const [uid, setUid] = useState(application?.uid ?? "");
  const [description, setDescription] = useState(application?.description ?? "");
  const [rate, setRate] = useState<number | string>(application?.rate_limit ?? "");
  const saving = useMutation({
    mutationFn: () => {
      const body = {
        name,
        uid: uid || null,
        description: description || null,
        rate_limit: rate === "" ? null : Number(rate),
      };
      return application ? updateApplication(application.id, body) : createApplication(body);
    },
    onSuccess: async (answer) => {
      await queryClient.invalidateQueries({ queryKey: ["applications"] });
      if (application) {
        toast(`${name} is saved.`);
        onClose();
      } else await navigate({ to: "/dashboard/applications/$id", params: { id: answer.application.id } });
    },
  });
  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault();
        saving.mutate();
      }}
    >
      <TextInput
        label="Name"
        required
        data-autofocus
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
      />
      <TextInput
        label="Uid"
        description="Optional. Your own id of the customer; the API accepts it in place of the id."
        classNames={{ input: "mono" }}
        value={uid}
        onChange={(event) => setUid(event.currentTarget.value)}
      />
      <Textarea
        label="Description"
        autosize
        value={description}
        onChange={(event) => setDescription(event.currentTarget.value)}
      />
      <NumberInput
        label="Rate limit"
        description="Deliveries a second over all endpoints. Empty means no limit. A limit delays, it never drops."
        min={0}
        allowDecimal={false}
        value={rate}
        onChange={setRate}
      />
      <ActError error={saving.error} />
      <div className={classes.dialogActions}>
        <Button onClick={onClose}>Cancel</Button>
        <Button type="submit" variant="filled" loading={saving.isPending}>
          {application ? "Save" : "Create application"}
        </Button>
      </div>
    </form>
  );
}
