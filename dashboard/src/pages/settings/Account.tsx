/** The user's own account: name, password, identity providers. */
import { Button, PasswordInput, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { changePassword, disconnectProvider, updateProfile } from "@/api/account";
import { queryClient } from "@/api/client";
import { providersQuery, sessionQuery, useSession } from "@/api/session";
import { ActError } from "@/components/feedback/ErrorState";
import { toast } from "@/components/feedback/toast";
import { Card } from "@/components/page/Card";
import { leaveFor } from "../account/Provider";
import { NewPassword } from "../account/SetUp";
import { SaveForm } from "./form";

export function Account() {
  const { user } = useSession();
  const [name, setName] = useState(user.name);
  const [current, setCurrent] = useState("");
  const [next, setNext] = useState("");
  const { data: ways } = useQuery(providersQuery);
  const providing = useMutation({
    mutationFn: async (provider: { name: string; connected: number }) => {
      if (provider.connected === 0) return leaveFor(provider.name, true);
      await disconnectProvider(provider.name);
      await queryClient.invalidateQueries({ queryKey: providersQuery.queryKey });
    },
  });
  return (
    <>
      <Card title="Profile" aside={user.email} isPadded>
        <SaveForm
          isDisabled={name === user.name}
          save={async () => {
            await updateProfile(name);
            await queryClient.invalidateQueries({ queryKey: sessionQuery.queryKey });
            toast("The name is saved.");
          }}
        >
          <TextInput
            label="Name"
            required
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
          />
        </SaveForm>
      </Card>
      <Card title="Password" aside="ends all other sessions" isPadded>
        <SaveForm
          verb="Change password"
          isDisabled={current === "" || next === ""}
          save={async () => {
            await changePassword({ current_password: current, new_password: next });
            setCurrent("");
            setNext("");
            toast("The password is changed.");
          }}
        >
          <PasswordInput
            label="Current password"
            autoComplete="current-password"
            value={current}
            onChange={(event) => setCurrent(event.currentTarget.value)}
          />
          <NewPassword label="New password" value={next} onChange={setNext} />
        </SaveForm>
      </Card>
      {(ways?.providers.length ?? 0) > 0 && (
        <Card title="Identity providers" isPadded>
          <div className="row-wrap">
            {ways?.providers.map((provider) => (
              <Button key={provider.name} onClick={() => providing.mutate(provider)}>
                {provider.connected === 1 ? "Disconnect" : "Connect"} {provider.title}
              </Button>
            ))}
          </div>
          <ActError error={providing.error} />
        </Card>
      )}
    </>
  );
}
