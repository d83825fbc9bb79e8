/** Approval of a device: a program without a browser shows a code, and a signed-in user allows it. */
import { Button, Select, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { Navigate, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { allowDevice, denyDevice, getDevice } from "@/api/account";
import { environmentsQuery } from "@/api/identity";
import { sessionQuery } from "@/api/session";
import { ActError, ErrorState } from "@/components/feedback/ErrorState";
import { Facts } from "@/components/page/Card";
import { AccountForm, AccountPage } from "./AccountPage";
import classes from "./account.module.css";

export function Device() {
  const { data: session, isPending } = useQuery(sessionQuery);
  const code = new URLSearchParams(location.search).get("code") ?? "";
  if (isPending) return null;
  if (!session)
    return <Navigate to="/sign-in" search={{ next: location.pathname + location.search }} replace />;
  return code === "" ? <EnterCode /> : <Approve code={code} selected={session.env_id ?? null} />;
}

function EnterCode() {
  const navigate = useNavigate();
  const [code, setCode] = useState("");
  return (
    <AccountPage title="Allow a device" lead="Enter the code that the device shows.">
      <AccountForm
        onSubmit={() => void navigate({ href: `/dashboard/cli-auth?code=${encodeURIComponent(code)}` })}
      >
        <TextInput
          label="Code"
          placeholder="ABCD-EFGH"
          autoComplete="off"
          required
          autoFocus
          value={code}
          onChange={(event) => setCode(event.currentTarget.value)}
        />
        <Button type="submit" variant="filled" size="sm" fullWidth>
          Continue
        </Button>
      </AccountForm>
    </AccountPage>
  );
}

function Approve({ code, selected }: { code: string; selected: string | null }) {
  const [environment, setEnvironment] = useState(selected);
  const asking = useQuery({ queryKey: ["device", code], queryFn: () => getDevice(code), retry: false });
  const { data: environments } = useQuery(environmentsQuery);
  const allowing = useMutation({ mutationFn: () => allowDevice(code, environment ?? "") });
  const denying = useMutation({ mutationFn: () => denyDevice(code) });
  if (allowing.isSuccess)
    return (
      <AccountPage title="Device allowed" lead="Return to the device.">
        {null}
      </AccountPage>
    );
  if (denying.isSuccess)
    return (
      <AccountPage title="Device refused" lead="The device gets no access.">
        {null}
      </AccountPage>
    );
  if (asking.isError) {
    return (
      <AccountPage title="Allow a device">
        <ErrorState what="The device" error={asking.error} />
      </AccountPage>
    );
  }
  if (asking.data === undefined) return null;
  const { device } = asking.data;
  return (
    <AccountPage
      title="Allow a device?"
      lead="The device gets an API key with your scopes. Allow it only if you started this yourself and the device shows this code."
    >
      <span className={classes.code}>{device.user_code}</span>
      <Facts
        facts={[
          ["Device", device.name],
          ["Address", device.address ?? "unknown"],
        ]}
      />
      <AccountForm onSubmit={() => allowing.mutate()}>
        <Select
          label="Environment"
          data={(environments ?? [])
            .filter((one) => !one.deleted_at)
            .map((one) => ({ value: one.id, label: one.name }))}
          value={environment}
          onChange={setEnvironment}
        />
        <ActError error={allowing.error ?? denying.error} />
        <div className="row">
          <Button
            type="submit"
            variant="filled"
            size="sm"
            loading={allowing.isPending}
            disabled={!environment}
          >
            Allow
          </Button>
          <Button size="sm" loading={denying.isPending} onClick={() => denying.mutate()}>
            Refuse
          </Button>
        </div>
      </AccountForm>
    </AccountPage>
  );
}
