/** How to check a signature, in eight languages with the official libraries of Standard Webhooks. */
import { Select } from "@mantine/core";
import { useState } from "react";
import { useWords } from "../i18n";
import { Card, Code } from "../parts";
import classes from "../portal.module.css";
import { SAMPLES } from "./samples";

export function Signature({ algorithm }: { algorithm: string }) {
  const { t } = useWords();
  const [name, setName] = useState(SAMPLES[0]?.name ?? "");
  const sample = SAMPLES.find((one) => one.name === name);
  if (algorithm !== "hmac-sha256") {
    return (
      <Card title={t("verify")}>
        <p className={classes.padded}>{t("verifyKey")}</p>
      </Card>
    );
  }
  return (
    <Card
      title={t("verify")}
      aside={
        <Select
          aria-label={t("verify")}
          w={130}
          data={SAMPLES.map((one) => one.name)}
          value={name}
          onChange={(value) => setName(value ?? name)}
        />
      }
    >
      {sample && (
        <>
          <Code
            text={`${sample.comment} ${t("install")}: ${sample.install}\n\n${sample.code}`}
            isJson={false}
          />
          <p className={`small ink-2 ${classes.padded}`}>{t("verifyText")}</p>
        </>
      )}
    </Card>
  );
}
