/** Forgotten password: the mail with a link, and the page behind the link. */
import { Button, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { forgotPassword, resetPassword } from "@/api/account";
import { providersQuery } from "@/api/session";
import { ActError } from "@/components/feedback/ErrorState";
import { AccountForm, AccountPage, tokenOfAddress } from "./AccountPage";
import { LinkOver, NewPassword, useLink } from "./SetUp";

export function ForgotPassword() {
  const [email, setEmail] = useState("");
  const { data: ways } = useQuery(providersQuery);
  const doing = useMutation({ mutationFn: () => forgotPassword(email) });
  const back = <Link to="/sign-in">Back to sign-in</Link>;
  if (ways?.mail === 0) {
    return (
      <AccountPage
        title="Forgot your password?"
        lead="This installation does not send email. Ask its operator for a link to set a new password."
      >
        {back}
      </AccountPage>
    );
  }
  if (doing.isSuccess) {
    return (
      <AccountPage
        title="Check your email"
        lead="If an account with this address exists, a link was sent to it. The link is valid for an hour."
      >
        {back}
      </AccountPage>
    );
  }
  return (
    <AccountPage
      title="Forgot your password?"
      lead="Enter your email address to get a link to set a new password."
    >
      <AccountForm onSubmit={() => doing.mutate()}>
        <TextInput
          label="Email"
          type="email"
          autoComplete="username"
          required
          autoFocus
          value={email}
          onChange={(event) => setEmail(event.currentTarget.value)}
        />
        <ActError error={doing.error} />
        <Button type="submit" variant="filled" size="sm" fullWidth loading={doing.isPending}>
          Send link
        </Button>
        {back}
      </AccountForm>
    </AccountPage>
  );
}

export function ResetPassword() {
  const navigate = useNavigate();
  const [token] = useState(tokenOfAddress);
  const [password, setPassword] = useState("");
  const link = useLink(() => resetPassword({ token, password: "" }), ["reset", token]);
  const doing = useMutation({
    mutationFn: () => resetPassword({ token, password }),
    onSuccess: () => navigate({ to: "/sign-in" }),
  });
  if (link.isOver) return <LinkOver />;
  return (
    <AccountPage title="Set a new password" lead="This signs you out everywhere else.">
      <AccountForm onSubmit={() => doing.mutate()}>
        <NewPassword label="New password" value={password} onChange={setPassword} />
        <ActError error={doing.error} />
        <Button type="submit" variant="filled" size="sm" fullWidth loading={doing.isPending}>
          Set password
        </Button>
      </AccountForm>
    </AccountPage>
  );
}
