/** Second factor: a QR code for the authenticator app, its confirmation, recovery codes, and switching it off. */
import { Button, PasswordInput, TextInput } from "@mantine/core";
import { useState } from "react";
import { encode } from "uqr";
import {
  beginSecondFactor,
  confirmSecondFactor,
  disableSecondFactor,
  replaceRecoveryCodes,
} from "@/api/account";
import { queryClient } from "@/api/client";
import { sessionQuery, useSession } from "@/api/session";
import { CodeBlock } from "@/components/code/CodeBlock";
import { Banner } from "@/components/feedback/Banner";
import { toast } from "@/components/feedback/toast";
import { Card } from "@/components/page/Card";
import { IdCopy } from "@/components/status/IdCopy";
import { counted } from "@/lib/words/numbers";
import classes from "../pages.module.css";
import { SaveForm } from "./form";

export function SecondFactor() {
  const session = useSession();
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const [begun, setBegun] = useState<{ secret: string; uri: string } | null>(null);
  const [codes, setCodes] = useState<string[] | null>(null);
  const done = async (recovery: string[] | null) => {
    setCodes(recovery);
    setBegun(null);
    setPassword("");
    setCode("");
    await queryClient.invalidateQueries({ queryKey: sessionQuery.queryKey });
  };
  const passwordField = (
    <PasswordInput
      label="Password"
      required
      autoComplete="current-password"
      value={password}
      onChange={(event) => setPassword(event.currentTarget.value)}
    />
  );
  const codeField = (
    <TextInput
      label="Code"
      required
      autoComplete="one-time-code"
      inputMode="numeric"
      value={code}
      onChange={(event) => setCode(event.currentTarget.value)}
    />
  );
  if (codes !== null) {
    return (
      <Card title="Recovery codes" isPadded>
        <div className="stack">
          <Banner tone="careful">
            They are shown once. Each is valid once, in place of a code from the app.
          </Banner>
          <CodeBlock text={codes.join("\n")} fileName="hookstream-recovery-codes.txt" isIndented={false} />
          <div>
            <Button variant="filled" onClick={() => setCodes(null)}>
              They are saved
            </Button>
          </div>
        </div>
      </Card>
    );
  }
  if (session.second_factor === 1) {
    return (
      <>
        <Banner tone="plain">
          The second factor is on. {counted(session.recovery_codes, "recovery code")} left.
        </Banner>
        <Card title="Replace recovery codes, or switch it off" isPadded>
          <SaveForm
            verb="Replace recovery codes"
            save={async () => done((await replaceRecoveryCodes({ password, code })).recovery_codes)}
          >
            {passwordField}
            {codeField}
          </SaveForm>
          <div className={classes.nextForm}>
            <SaveForm
              verb="Switch off"
              isDisabled={password === "" || code === ""}
              save={async () => {
                await disableSecondFactor({ password, code });
                toast("The second factor is off.");
                await done(null);
              }}
            >
              {null}
            </SaveForm>
          </div>
        </Card>
      </>
    );
  }
  if (begun !== null) {
    return (
      <Card title="Scan, then enter the code" isPadded>
        <div className="stack">
          <QrCode text={begun.uri} />
          <span className="small ink-2">
            Without a camera, enter this secret: <IdCopy value={begun.secret} isFull label="secret" />
          </span>
          <SaveForm
            verb="Switch on"
            save={async () => done((await confirmSecondFactor(code)).recovery_codes)}
          >
            {codeField}
          </SaveForm>
        </div>
      </Card>
    );
  }
  return (
    <Card title="The second factor is off" isPadded>
      <SaveForm verb="Continue" save={async () => setBegun(await beginSecondFactor(password))}>
        <p className="ink-2">Signing in then asks for a code from an authenticator app as well.</p>
        {passwordField}
      </SaveForm>
    </Card>
  );
}

/** QR code as one SVG path; always dark on white, because cameras expect that. */
function QrCode({ text }: { text: string }) {
  const { data, size } = encode(text);
  const path = data
    .flatMap((row, y) => row.map((isDark, x) => (isDark ? `M${x} ${y}h1v1h-1z` : "")))
    .join("");
  return (
    <svg
      className={classes.qr}
      viewBox={`0 0 ${size} ${size}`}
      role="img"
      aria-label="QR code for the authenticator app"
      shapeRendering="crispEdges"
    >
      <path d={path} fill="#000" />
    </svg>
  );
}
