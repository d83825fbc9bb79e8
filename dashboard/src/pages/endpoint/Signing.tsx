/** Signing of an endpoint: reveal the secret where that is allowed, and rotate it with an overlap. */
import { Button, Modal, Select } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { type Endpoint, type EndpointPath, revealSecret, rotateSecret } from "@/api/endpoints";
import type { Schemas } from "@/api/client";
import { useMay } from "@/api/session";
import { CodeBlock } from "@/components/code/CodeBlock";
import { Banner } from "@/components/feedback/Banner";
import { ActError } from "@/components/feedback/ErrorState";
import { Card, Facts } from "@/components/page/Card";
import { IdCopy } from "@/components/status/IdCopy";
import { Countdown } from "@/components/time/Countdown";
import classes from "../pages.module.css";

const GRACES = [
  { value: "0", label: "End the old secret at once" },
  { value: "3600", label: "Both sign for 1 h" },
  { value: "86400", label: "Both sign for 24 h" },
  { value: "604800", label: "Both sign for 7 days" },
];

const VERIFY = `import { Webhook } from "standardwebhooks";

const webhook = new Webhook(process.env.WEBHOOK_SECRET);
// body: the bytes as they arrived. It throws if the signature does not match.
const payload = webhook.verify(body, headers);`;

type Rotated = Schemas["RotatedSecret"];

/** Returns the secrets that still sign beside the current one, as far as this page was told of them. */
function olderSecretsOf(
  revealed: { previous_secrets: { signing_secret: string; expires_at: string }[] } | undefined,
  rotated: Rotated | null,
): { secret: string | null; endsAt: string }[] {
  if (revealed)
    return revealed.previous_secrets.map((one) => ({ secret: one.signing_secret, endsAt: one.expires_at }));
  const end = rotated?.previous_secret_expires_at;
  return end !== undefined && Date.parse(end) > Date.now() ? [{ secret: null, endsAt: end }] : [];
}

export function Signing({ path, endpoint }: { path: EndpointPath; endpoint: Endpoint }) {
  const mayReveal = useMay("endpoints:secret");
  const mayRotate = useMay("endpoints:write");
  const [isRotating, setRotating] = useState(false);
  const revealing = useMutation({ mutationFn: () => revealSecret(path), gcTime: 0 });
  const [rotated, setRotated] = useState<Rotated | null>(null);
  const secret = revealing.data?.signing_secret ?? rotated?.signing_secret;
  const older = olderSecretsOf(revealing.data, rotated);
  return (
    <div className={classes["grid-half"]}>
      <Card title="Signing secret" aside={older.length > 0 && `${older.length + 1} secrets sign now`}>
        <Facts
          facts={[
            ["Algorithm", endpoint.signing_algorithm === "ed25519" ? "Ed25519" : "HMAC-SHA256"],
            [
              older.length > 0 ? "New secret" : "Secret",
              secret === undefined ? (
                <code key="masked">••••••••</code>
              ) : (
                <IdCopy key="secret" value={secret} isFull label="signing secret" />
              ),
            ],
            ...older.map(({ secret: value, endsAt }, index): [string, React.ReactNode] => [
              index === 0 ? "Old secret" : `Old secret ${index + 1}`,
              <span key={endsAt}>
                {value === null ? (
                  <code>••••••••</code>
                ) : (
                  <IdCopy value={value} text="••••••••" label="old signing secret" />
                )}{" "}
                <span className="small ink-2">
                  signs too, ends <Countdown to={endsAt} />
                </span>
              </span>,
            ]),
            [
              "Public key",
              endpoint.public_key ? (
                <IdCopy key="key" value={endpoint.public_key} isFull label="public key" />
              ) : null,
            ],
          ]}
        />
        <div className={`stack-small ${classes.inset ?? ""}`}>
          <div className="row">
            {mayReveal && !revealing.data && (
              <Button loading={revealing.isPending} onClick={() => revealing.mutate()}>
                Reveal
              </Button>
            )}
            {mayRotate && <Button onClick={() => setRotating(true)}>Rotate…</Button>}
          </div>
          {mayReveal && <span className="small ink-3">Your view of it goes into the audit log.</span>}
          <ActError error={revealing.error} />
        </div>
      </Card>
      <Card title="Verify a webhook">
        <CodeBlock text={VERIFY} isIndented={false} />
      </Card>
      <RotateDialog
        isOpen={isRotating}
        onClose={() => setRotating(false)}
        path={path}
        onRotated={(answer) => {
          revealing.reset();
          setRotated(answer);
        }}
      />
    </div>
  );
}

interface RotateProps {
  isOpen: boolean;
  onClose: () => void;
  path: EndpointPath;
  onRotated: (answer: Rotated) => void;
}

function RotateDialog({ isOpen, onClose, path, onRotated }: RotateProps) {
  const [grace, setGrace] = useState("86400");
  const rotating = useMutation({
    mutationFn: () => rotateSecret(path, Number(grace)),
    onSuccess: onRotated,
    gcTime: 0,
  });
  const close = () => {
    rotating.reset();
    onClose();
  };
  const rotated = rotating.data;
  return (
    <Modal
      opened={isOpen}
      onClose={close}
      closeOnClickOutside={rotated === undefined}
      title={rotated ? "The new secret" : "Rotate the signing secret?"}
    >
      {rotated ? (
        <div className="stack">
          <Banner tone="careful">
            It is shown once. The old one ends <Countdown to={rotated.previous_secret_expires_at} />.
          </Banner>
          <IdCopy value={rotated.signing_secret} isFull label="signing secret" />
          <div className={classes.dialogActions}>
            <Button variant="filled" onClick={close}>
              Done
            </Button>
          </div>
        </div>
      ) : (
        <form
          className="stack"
          onSubmit={(event) => {
            event.preventDefault();
            rotating.mutate();
          }}
        >
          <Select
            label="Old secret"
            description="While both sign, the receiver can change over."
            data={GRACES}
            value={grace}
            onChange={(value) => setGrace(value ?? "86400")}
          />
          <ActError error={rotating.error} />
          <div className={classes.dialogActions}>
            <Button onClick={close}>Cancel</Button>
            <Button type="submit" variant="filled" loading={rotating.isPending}>
              Rotate
            </Button>
          </div>
        </form>
      )}
    </Modal>
  );
}
