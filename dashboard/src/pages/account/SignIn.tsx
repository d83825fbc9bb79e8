/** Sign-in by password, with the second factor where the account has one, or by an identity provider. */
import { Button, PasswordInput, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { Link, Navigate, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { signIn } from "@/api/account";
import { queryClient } from "@/api/client";
import { hasCode } from "@/api/errors";
import { providersQuery, sessionQuery } from "@/api/session";
import { ActError } from "@/components/feedback/ErrorState";
import { AccountForm, AccountPage, nextPath } from "./AccountPage";
import { ProviderButtons } from "./Provider";

export function SignIn() {
  const navigate = useNavigate();
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const { data: session } = useQuery(sessionQuery);
  const { data: ways } = useQuery(providersQuery);
  const next = nextPath(new URLSearchParams(location.search).get("next"), location.origin);
  const doing = useMutation({
    mutationFn: () => signIn({ email, password, ...(code ? { code } : {}) }),
    onSuccess: async (answer) => {
      queryClient.clear();
      queryClient.setQueryData(sessionQuery.queryKey, answer);
      await navigate({ href: next });
    },
  });
  const [needsCode, setNeedsCode] = useState(false);
  if (hasCode(doing.error, "second_factor_required") && !needsCode) setNeedsCode(true);
  if (session && !doing.isPending) return <Navigate href={next} to="." replace />;
  return (
    <AccountPage
      title="Sign in"
      {...(needsCode ? { lead: "Enter the code from your authenticator app, or a recovery code." } : {})}
    >
      {!needsCode && <ProviderButtons words="Sign in with" />}
      <AccountForm onSubmit={() => doing.mutate()}>
        {!needsCode && (
          <>
            <TextInput
              label="Email"
              type="email"
              autoComplete="username"
              required
              autoFocus
              value={email}
              onChange={(event) => setEmail(event.currentTarget.value)}
            />
            <PasswordInput
              label="Password"
              autoComplete="current-password"
              required
              value={password}
              onChange={(event) => setPassword(event.currentTarget.value)}
            />
          </>
        )}
        {needsCode && (
          <TextInput
            label="Code"
            autoComplete="one-time-code"
            inputMode="numeric"
            required
            autoFocus
            value={code}
            onChange={(event) => setCode(event.currentTarget.value)}
          />
        )}
        {!hasCode(doing.error, "second_factor_required") && <ActError error={doing.error} />}
        <Button type="submit" variant="filled" size="sm" fullWidth loading={doing.isPending}>
          Sign in
        </Button>
        {ways?.mail === 1 && !needsCode && (
          <Link to="/forgot-password" className="small">
            Forgot your password?
          </Link>
        )}
      </AccountForm>
    </AccountPage>
  );
}
