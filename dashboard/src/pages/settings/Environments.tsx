/** Environments: isolation, retention and budget of each. */
import { Button, Modal, NumberInput, Switch, TagsInput, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { queryClient } from "@/api/client";
import {
  createEnvironment,
  deleteEnvironment,
  type Environment,
  environmentsQuery,
  restoreEnvironment,
  updateEnvironment,
} from "@/api/identity";
import { useMay } from "@/api/session";
import { ConfirmDialog } from "@/components/feedback/ConfirmDialog";
import { Loaded } from "@/components/feedback/Loaded";
import { toast } from "@/components/feedback/toast";
import { Card } from "@/components/page/Card";
import { originsOf, themeBody, THEME_FIELDS, themeForm } from "@/components/portal/theme-form";
import { ThemeFields } from "@/components/portal/ThemeFields";
import { IdCopy } from "@/components/status/IdCopy";
import { PlainTable } from "@/components/table/PlainTable";
import { bytes, counted } from "@/lib/words/numbers";
import { SaveForm } from "./form";

/** Fields of the form that show their errors themselves. */
const FIELDS = [
  ...THEME_FIELDS,
  "name",
  "slug",
  "retention_days",
  "payload_retention_days",
  "max_payload_bytes",
  "weight",
  "portal_frame_origins",
  "portal_url",
];

const refresh = () => queryClient.invalidateQueries({ queryKey: environmentsQuery.queryKey });

export function Environments() {
  const environments = useQuery(environmentsQuery);
  const mayWrite = useMay("environments:write");
  const [edited, setEdited] = useState<Environment | "new" | null>(null);
  const [deleted, setDeleted] = useState<Environment | null>(null);
  return (
    <Card
      title="Environments"
      aside={mayWrite && <Button onClick={() => setEdited("new")}>Create environment…</Button>}
    >
      <Loaded what="Environments" query={environments}>
        {(rows) => (
          <PlainTable
            label="Environments"
            rows={rows}
            idOf={(row) => row.id}
            columns={[
              { head: "Environment", cell: (row) => <span className="name">{row.name}</span> },
              { head: "Slug", cell: (row) => <code>{row.slug}</code> },
              { head: "Serves customers", cell: (row) => (row.is_production === 1 ? "yes" : "no") },
              { head: "Id", cell: (row) => <IdCopy value={row.id} /> },
              {
                head: "Messages kept",
                cell: (row) => (row.retention_days ? counted(row.retention_days, "day") : "by default"),
              },
              {
                head: "Payloads kept",
                cell: (row) =>
                  row.payload_retention_days ? counted(row.payload_retention_days, "day") : "by default",
              },
              {
                head: "Acts",
                cell: (row) =>
                  mayWrite && (
                    <span className="row row-end">
                      {row.deleted_at ? (
                        <Button onClick={() => void restoreEnvironment(row.id).then(refresh)}>Restore</Button>
                      ) : (
                        <>
                          <Button onClick={() => setEdited(row)}>Edit…</Button>
                          <Button onClick={() => setDeleted(row)}>Delete…</Button>
                        </>
                      )}
                    </span>
                  ),
              },
            ]}
          />
        )}
      </Loaded>
      <Modal
        opened={edited !== null}
        onClose={() => setEdited(null)}
        size={560}
        title={edited === "new" ? "Create an environment" : "Edit the environment"}
      >
        {edited !== null && (
          <EnvironmentForm environment={edited === "new" ? null : edited} onDone={() => setEdited(null)} />
        )}
      </Modal>
      <ConfirmDialog
        isOpen={deleted !== null}
        onClose={() => setDeleted(null)}
        title={`Delete ${deleted?.name ?? ""}?`}
        verb="Delete environment"
        isDangerous
        nameToType={deleted?.name ?? ""}
        act={async () => {
          if (deleted) await deleteEnvironment(deleted.id);
          await refresh();
        }}
      >
        It is closed at once. It can be restored for a time; then its messages are removed and pending
        deliveries cancelled.
      </ConfirmDialog>
    </Card>
  );
}

function EnvironmentForm({ environment, onDone }: { environment: Environment | null; onDone: () => void }) {
  const [name, setName] = useState(environment?.name ?? "");
  const [slug, setSlug] = useState(environment?.slug ?? "");
  const [days, setDays] = useState<number | string>(environment?.retention_days ?? "");
  const [payloadDays, setPayloadDays] = useState<number | string>(environment?.payload_retention_days ?? "");
  const [budget, setBudget] = useState<number | string>(environment?.max_payload_bytes ?? "");
  const [weight, setWeight] = useState<number | string>(environment?.weight ?? "");
  const [canReveal, setReveal] = useState(environment?.portal_reveal_secrets !== 0);
  const [isProduction, setProduction] = useState(environment?.is_production === 1);
  const [doesForward, setForward] = useState(environment?.forward_trace_context === 1);
  const [origins, setOrigins] = useState(() => originsOf(environment?.portal_frame_origins));
  const [portalUrl, setPortalUrl] = useState(environment?.portal_url ?? "");
  const [theme, setTheme] = useState(() => themeForm(environment?.portal_theme));
  const number = (value: number | string) => (value === "" ? null : Number(value));
  return (
    <SaveForm
      fields={FIELDS}
      verb={environment ? "Save" : "Create environment"}
      save={async () => {
        if (environment === null)
          await createEnvironment({ name, slug, is_production: isProduction ? 1 : 0 });
        else {
          await updateEnvironment(environment.id, {
            name,
            slug,
            retention_days: number(days),
            payload_retention_days: number(payloadDays),
            max_payload_bytes: number(budget),
            weight: number(weight),
            portal_reveal_secrets: canReveal ? 1 : 0,
            is_production: isProduction ? 1 : 0,
            forward_trace_context: doesForward ? 1 : 0,
            portal_frame_origins: origins,
            portal_url: portalUrl.trim() || null,
            portal_theme: themeBody(theme),
          });
        }
        await refresh();
        toast(`${name} is saved.`);
        onDone();
      }}
    >
      {(problemOf) => (
        <>
          <TextInput
            label="Name"
            required
            data-autofocus
            value={name}
            error={problemOf("name")}
            onChange={(event) => setName(event.currentTarget.value)}
          />
          <TextInput
            label="Slug"
            description="Lower-case letters, digits and dashes."
            required
            pattern="[a-z0-9\-]+"
            value={slug}
            error={problemOf("slug")}
            onChange={(event) => setSlug(event.currentTarget.value)}
          />
          <Switch
            label="Serves customers"
            description="Environments that do not are marked at the left of every page."
            checked={isProduction}
            onChange={(event) => setProduction(event.currentTarget.checked)}
          />
          {environment && (
            <>
              <NumberInput
                label="Days that messages are kept"
                description="Empty means the default."
                min={1}
                value={days}
                error={problemOf("retention_days")}
                onChange={setDays}
              />
              <NumberInput
                label="Days that payloads are kept"
                description="Empty means the default. At most as long as messages."
                min={1}
                value={payloadDays}
                error={problemOf("payload_retention_days")}
                onChange={setPayloadDays}
              />
              <NumberInput
                label="Bytes that payloads may use"
                description={
                  budget === ""
                    ? "Empty means the default. Beyond it, the oldest payloads are removed first."
                    : `${bytes(Number(budget))}. Beyond it, the oldest payloads are removed first.`
                }
                min={1}
                allowDecimal={false}
                thousandSeparator=","
                value={budget}
                error={problemOf("max_payload_bytes")}
                onChange={setBudget}
              />
              <NumberInput
                label="Weight"
                description="Share of the delivery capacity against other environments, 1 to 100. Empty means 1."
                min={1}
                max={100}
                allowDecimal={false}
                value={weight}
                error={problemOf("weight")}
                onChange={setWeight}
              />
              <Switch
                label="Deliveries pass the trace context on"
                description="Receivers get the sender's traceparent and tracestate, or Hookstream's own place in the trace."
                checked={doesForward}
                onChange={(event) => setForward(event.currentTarget.checked)}
              />
              <h3>Portal</h3>
              <Switch
                label="Customers can reveal signing secrets in the portal"
                checked={canReveal}
                onChange={(event) => setReveal(event.currentTarget.checked)}
              />
              <TagsInput
                label="Origins that may embed it"
                description="Origins of your pages, at most 20. Browsers refuse frames of others."
                placeholder={origins.length === 0 ? "https://app.example.com" : ""}
                maxTags={20}
                splitChars={[",", " "]}
                acceptValueOnBlur
                value={origins}
                error={problemOf("portal_frame_origins")}
                onChange={setOrigins}
              />
              <TextInput
                label="Portal page"
                description="Page of your product that shows the portal. Mail to customers links to it, with {application_uid} and {endpoint_id} replaced."
                placeholder="https://app.example.com/webhooks?customer={application_uid}"
                inputMode="url"
                value={portalUrl}
                error={problemOf("portal_url")}
                onChange={(event) => setPortalUrl(event.currentTarget.value)}
              />
              <ThemeFields theme={theme} onChange={setTheme} problemOf={problemOf} usual="the portal's own" />
            </>
          )}
        </>
      )}
    </SaveForm>
  );
}
