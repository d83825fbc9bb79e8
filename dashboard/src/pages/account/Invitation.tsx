/** Invitation to an organization: a new account, or the one that is signed in. */
import { Button, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { acceptInvitation, lookAtInvitation } from "@/api/account";
import { queryClient } from "@/api/client";
import { hasCode } from "@/api/errors";
import { sessionQuery } from "@/api/session";
import { ActError, ErrorState } from "@/components/feedback/ErrorState";
import { AccountForm, AccountPage, tokenOfAddress } from "./AccountPage";
import { ProviderButtons } from "./Provider";
import { LinkOver, NewPassword } from "./SetUp";

export function Invitation() {
  const navigate = useNavigate();
  const [token] = useState(tokenOfAddress);
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const { data: session } = useQuery(sessionQuery);
  const look = useQuery({
    queryKey: ["invitation", token],
    queryFn: () => lookAtInvitation(token),
    retry: false,
  });
  const isSelf = session?.user.email === look.data?.invitation.email;
  const doing = useMutation({
    mutationFn: () => acceptInvitation({ token, ...(isSelf ? {} : { name, password }) }),
    onSuccess: async (answer) => {
      queryClient.clear();
      queryClient.setQueryData(sessionQuery.queryKey, answer);
      await navigate({ to: "/dashboard" });
    },
  });
  if (hasCode(look.error, "link_over")) return <LinkOver />;
  if (look.isError) return <ErrorState what="The invitation" error={look.error} />;
  if (look.data === undefined) return null;
  const { invitation, organization, account_exists: accountExists } = look.data;
  const lead = `Invitation for ${invitation.email} with the role ${invitation.role}, from ${invitation.invited_by}.`;
  if (accountExists === 1 && !isSelf) {
    return (
      <AccountPage title={`Join ${organization}`} lead={lead}>
        <p>An account with this address exists. Sign in, then open this link again.</p>
        <Link to="/sign-in">Go to sign-in</Link>
      </AccountPage>
    );
  }
  return (
    <AccountPage title={`Join ${organization}`} lead={lead}>
      {!isSelf && <ProviderButtons words="Join with" />}
      <AccountForm onSubmit={() => doing.mutate()}>
        {!isSelf && (
          <>
            <TextInput
              label="Name"
              autoComplete="name"
              required
              autoFocus
              value={name}
              onChange={(event) => setName(event.currentTarget.value)}
            />
            <NewPassword value={password} onChange={setPassword} />
          </>
        )}
        <ActError error={doing.error} />
        <Button type="submit" variant="filled" size="sm" fullWidth loading={doing.isPending}>
          Join
        </Button>
        {accountExists !== 0 && !isSelf && (
          <p className="small ink-2">
            With an account of this address, <Link to="/sign-in">sign in</Link> first, then open this link
            again.
          </p>
        )}
      </AccountForm>
    </AccountPage>
  );
}
