/** Organization: its name, and its deletion. */
import { Button, TextInput } from "@mantine/core";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { queryClient } from "@/api/client";
import { deleteOrganization, renameOrganization } from "@/api/identity";
import { sessionQuery, useMay, useSession } from "@/api/session";
import { ConfirmDialog } from "@/components/feedback/ConfirmDialog";
import { toast } from "@/components/feedback/toast";
import { Card } from "@/components/page/Card";
import { IdCopy } from "@/components/status/IdCopy";
import { SaveForm } from "./form";

export function Organization() {
  const session = useSession();
  const navigate = useNavigate();
  const orgId = session.org_id ?? "";
  const before = session.memberships.find((one) => one.org_id === orgId)?.name ?? "";
  const [name, setName] = useState(before);
  const [isDeleting, setDeleting] = useState(false);
  const mayWrite = useMay("organization:write");
  const mayDelete = useMay("organization:delete");
  return (
    <>
      <Card title="Name" aside={<IdCopy value={orgId} />} isPadded>
        {mayWrite ? (
          <SaveForm
            isDisabled={name === before || name.trim() === ""}
            save={async () => {
              await renameOrganization(orgId, name);
              await queryClient.invalidateQueries({ queryKey: sessionQuery.queryKey });
              toast("The organization is renamed.");
            }}
          >
            <TextInput
              label="Name"
              required
              value={name}
              onChange={(event) => setName(event.currentTarget.value)}
            />
          </SaveForm>
        ) : (
          before
        )}
      </Card>
      {mayDelete && (
        <Card title="Delete" isPadded>
          <div className="stack-small">
            <p className="ink-2">
              Its environments are closed at once. It can be restored for a time; then its messages and
              pending deliveries are removed.
            </p>
            <div>
              <Button color="red" variant="filled" onClick={() => setDeleting(true)}>
                Delete organization…
              </Button>
            </div>
          </div>
        </Card>
      )}
      <ConfirmDialog
        isOpen={isDeleting}
        onClose={() => setDeleting(false)}
        title={`Delete ${before}?`}
        verb="Delete organization"
        isDangerous
        nameToType={before}
        act={async () => {
          await deleteOrganization(orgId);
          queryClient.clear();
          await navigate({ to: "/dashboard" });
        }}
      >
        All environments are closed at once, and no API key of them works any more.
      </ConfirmDialog>
    </>
  );
}
