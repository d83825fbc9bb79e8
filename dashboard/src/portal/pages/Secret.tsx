/** Signing secret: hidden, shown on demand, rotated with an overlap. */
import { Button } from "@mantine/core";
import { IconLock } from "@tabler/icons-react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useSeconds } from "@/components/time/ticker";
import { type Endpoint, portalQuery, revealSecret, rotateSecret } from "../api";
import { useMayChange } from "../capabilities";
import { useWords } from "../i18n";
import { Card, Confirm, Copy, ErrorText } from "../parts";
import classes from "../portal.module.css";

const GRACE_S = 24 * 3600;

export function Secret({ endpoint }: { endpoint: Endpoint }) {
  const words = useWords();
  const { t } = words;
  const client = useQueryClient();
  const portal = useQuery(portalQuery);
  const mayChange = useMayChange();
  const now = useSeconds();
  const [isAsking, setAsking] = useState(false);
  const [rotated, setRotated] = useState<{ secret: string; at: number } | null>(null);
  const revealing = useMutation({ mutationFn: () => revealSecret(endpoint.id) });
  const shown = rotated?.secret ?? revealing.data?.signing_secret;
  const previous = revealing.data?.previous_secrets[0]?.expires_at;
  const ends = rotated !== null ? rotated.at + GRACE_S * 1000 : previous ? Date.parse(previous) : null;
  const left = ends === null ? 0 : (ends - now.getTime()) / 1000;
  return (
    <Card
      title={t("secret")}
      aside={
        mayChange && (
          <Button variant="subtle" size="compact-xs" onClick={() => setAsking(true)}>
            {t("rotate")}
          </Button>
        )
      }
    >
      <div className={`${classes.padded} stack-small`}>
        {rotated !== null && <p className="name">{t("newSecret")}</p>}
        <div className={classes.secret}>
          <IconLock size={14} stroke={1.8} />
          <code className="grow">{shown ?? "whsec_••••••••••••••••"}</code>
          {shown === undefined ? (
            portal.data?.portal.reveals_secrets && (
              <Button
                variant="subtle"
                size="compact-xs"
                loading={revealing.isPending}
                onClick={() => revealing.mutate()}
              >
                {t("reveal")}
              </Button>
            )
          ) : (
            <Copy text={shown} />
          )}
        </div>
        {endpoint.public_key && (
          <p className="small">
            {t("publicKey")} <code>{endpoint.public_key}</code>
          </p>
        )}
        <p className="small ink-2">
          {left > 0 ? t("oldSecretFor", { span: words.span(left) }) : t("secretHidden")}
        </p>
        <ErrorText error={revealing.error} />
      </div>
      <Confirm
        isOpen={isAsking}
        onClose={() => setAsking(false)}
        title={t("rotateTitle")}
        text={t("rotateText")}
        verb={t("rotateAct")}
        act={async () => {
          const answer = await rotateSecret(endpoint.id, GRACE_S);
          setRotated({ secret: answer.signing_secret, at: Date.now() });
          await client.invalidateQueries({ queryKey: ["endpoint", endpoint.id] });
        }}
      />
    </Card>
  );
}
