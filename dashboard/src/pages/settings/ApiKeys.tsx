/** API keys of the environment: creating, rotating, revoking. A key is shown once. */
import { Button, Modal, MultiSelect, Select, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { queryClient, type Schemas } from "@/api/client";
import { type ApiKey, apiKeysQuery, createApiKey, revokeApiKey, rotateApiKey } from "@/api/identity";
import { useMay, useSession } from "@/api/session";
import { Banner } from "@/components/feedback/Banner";
import { ConfirmDialog } from "@/components/feedback/ConfirmDialog";
import { EmptyState } from "@/components/feedback/EmptyState";
import { Loaded } from "@/components/feedback/Loaded";
import { Card } from "@/components/page/Card";
import { IdCopy } from "@/components/status/IdCopy";
import { PlainTable } from "@/components/table/PlainTable";
import { RelativeTime } from "@/components/time/RelativeTime";
import { count } from "@/lib/words/numbers";
import classes from "../pages.module.css";
import { SaveForm } from "./form";

const RESOURCES = [
  "applications",
  "endpoints",
  "event_types",
  "messages",
  "jobs",
  "environments",
  "organization",
  "members",
  "api_keys",
  "views",
  "alerts",
];
const SCOPES = [
  ...RESOURCES.flatMap((resource) => [`${resource}:read`, `${resource}:write`]),
  "portal:write",
  "usage:read",
  "engine:read",
  "audit:read",
];
const OVERLAP_S = 86_400;

export function ApiKeys() {
  const keys = useQuery(apiKeysQuery);
  const mayWrite = useMay("api_keys:write");
  const [isCreating, setCreating] = useState(false);
  const [shown, setShown] = useState<Schemas["NewApiKey"] | null>(null);
  const [revoked, setRevoked] = useState<ApiKey | null>(null);
  const [rotated, setRotated] = useState<ApiKey | null>(null);
  const refresh = () => queryClient.invalidateQueries({ queryKey: apiKeysQuery.queryKey });
  return (
    <Card
      title="API keys"
      aside={mayWrite && <Button onClick={() => setCreating(true)}>Create API key…</Button>}
    >
      <Loaded what="API keys" query={keys}>
        {(page) =>
          page.api_keys.length === 0 ? (
            <EmptyState title="No API keys">A program needs one to send messages.</EmptyState>
          ) : (
            <PlainTable
              label="API keys"
              rows={page.api_keys}
              idOf={(key) => key.id}
              columns={[
                { head: "Name", cell: (key) => <span className="name">{key.name}</span> },
                { head: "Key", cell: (key) => <code>{key.key_prefix}…</code> },
                {
                  head: "Scopes",
                  cell: (key) => <code className={classes.scopes}>{key.scopes.replaceAll(",", ", ")}</code>,
                },
                { head: "Level", cell: (key) => key.level },
                { head: "Requests", cell: (key) => count(key.request_count), isNumber: true },
                {
                  head: "Last used",
                  cell: (key) =>
                    key.last_used_at ? (
                      <RelativeTime value={key.last_used_at} />
                    ) : (
                      <span className="ink-3">never</span>
                    ),
                },
                {
                  head: "Acts",
                  cell: (key) =>
                    key.revoked === 1 ? (
                      <span className="ink-3">revoked</span>
                    ) : (
                      mayWrite && (
                        <span className="row row-end">
                          <Button onClick={() => setRotated(key)}>Rotate…</Button>
                          <Button onClick={() => setRevoked(key)}>Revoke…</Button>
                        </span>
                      )
                    ),
                },
              ]}
            />
          )
        }
      </Loaded>
      <Modal opened={isCreating} onClose={() => setCreating(false)} title="Create an API key">
        {isCreating && (
          <KeyForm
            onCreated={(key) => {
              setCreating(false);
              setShown(key);
              void refresh();
            }}
          />
        )}
      </Modal>
      <Modal
        opened={shown !== null}
        onClose={() => setShown(null)}
        closeOnClickOutside={false}
        closeOnEscape={false}
        withCloseButton={false}
        size={620}
        title={`API key ${shown?.name ?? ""}`}
      >
        <div className="stack">
          <Banner tone="careful">The key is shown once. Save it now.</Banner>
          {shown && <IdCopy value={shown.key} isFull label="API key" />}
          <div className={classes.dialogActions}>
            <Button variant="filled" onClick={() => setShown(null)}>
              It is saved
            </Button>
          </div>
        </div>
      </Modal>
      <ConfirmDialog
        isOpen={rotated !== null}
        onClose={() => setRotated(null)}
        title={`Rotate ${rotated?.name ?? ""}?`}
        verb="Rotate"
        act={async () => {
          if (rotated) setShown(await rotateApiKey(rotated.id, OVERLAP_S));
          await refresh();
        }}
      >
        A new key with the same scopes is made. The old one stays valid for 24 h, so that programs can change
        over.
      </ConfirmDialog>
      <ConfirmDialog
        isOpen={revoked !== null}
        onClose={() => setRevoked(null)}
        title={`Revoke ${revoked?.name ?? ""}?`}
        verb="Revoke"
        isDangerous
        act={async () => {
          if (revoked) await revokeApiKey(revoked.id);
          await refresh();
        }}
      >
        Programs that use it are refused at once. This cannot be undone.
      </ConfirmDialog>
    </Card>
  );
}

function KeyForm({ onCreated }: { onCreated: (key: Schemas["NewApiKey"]) => void }) {
  const session = useSession();
  const mayOrganization = useMay("api_keys:organization");
  const [name, setName] = useState("");
  const [level, setLevel] = useState("environment");
  const [scopes, setScopes] = useState<string[]>([]);
  return (
    <SaveForm
      verb="Create API key"
      save={async () =>
        onCreated(
          await createApiKey({
            name,
            level: level as "environment" | "organization",
            org_id: session.org_id ?? null,
            env_id: session.env_id ?? null,
            ...(scopes.length > 0 ? { scopes } : {}),
          }),
        )
      }
    >
      <TextInput
        label="Name"
        placeholder="ci-deploy"
        required
        data-autofocus
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
      />
      {mayOrganization && (
        <Select
          label="Level"
          data={[
            { value: "environment", label: "Environment: this environment only" },
            { value: "organization", label: "Organization: members and environments too" },
          ]}
          value={level}
          onChange={(value) => setLevel(value ?? "environment")}
        />
      )}
      <MultiSelect
        label="Scopes"
        description="None chosen means everything that your role allows."
        data={SCOPES}
        searchable
        value={scopes}
        onChange={setScopes}
      />
    </SaveForm>
  );
}
