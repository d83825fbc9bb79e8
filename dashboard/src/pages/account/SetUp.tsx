/** Account of the first owner, by the link that the server prints. */
import { Button, PasswordInput, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { setUp } from "@/api/account";
import { queryClient } from "@/api/client";
import { hasCode } from "@/api/errors";
import { sessionQuery } from "@/api/session";
import { ActError } from "@/components/feedback/ErrorState";
import { AccountForm, AccountPage, tokenOfAddress } from "./AccountPage";

export function SetUp() {
  const navigate = useNavigate();
  const [token] = useState(tokenOfAddress);
  const [email, setEmail] = useState("");
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  // An empty password is refused only after the link was accepted, and changes nothing.
  const link = useLink(() => setUp({ token, email: "owner@example.com", password: "" }), ["setup", token]);
  const doing = useMutation({
    mutationFn: () => setUp({ token, email, name, password }),
    onSuccess: async (answer) => {
      queryClient.clear();
      queryClient.setQueryData(sessionQuery.queryKey, answer);
      await navigate({ to: "/dashboard/get-started" });
    },
  });
  if (link.isOver) return <LinkOver />;
  return (
    <AccountPage title="Set up Hookstream" lead="Create the account of the first owner.">
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
        <TextInput
          label="Name"
          autoComplete="name"
          required
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
        />
        <NewPassword value={password} onChange={setPassword} />
        <ActError error={doing.error} />
        <Button type="submit" variant="filled" size="sm" fullWidth loading={doing.isPending}>
          Create account
        </Button>
      </AccountForm>
    </AccountPage>
  );
}

/** Asks whether a link is still valid. */
export function useLink(ask: () => Promise<unknown>, queryKey: string[]): { isOver: boolean } {
  const { data } = useQuery({
    queryKey: ["link", ...queryKey],
    queryFn: async () => {
      try {
        await ask();
        return "valid";
      } catch (error) {
        return hasCode(error, "link_over") ? "over" : "valid";
      }
    },
    staleTime: Infinity,
  });
  return { isOver: data === "over" };
}

export function LinkOver() {
  return (
    <AccountPage title="Invalid link" lead="The link was used already, or it has expired. Ask for a new one.">
      <Link to="/sign-in">Go to sign-in</Link>
    </AccountPage>
  );
}

export function NewPassword({
  value,
  onChange,
  label = "Password",
}: {
  value: string;
  onChange: (value: string) => void;
  label?: string;
}) {
  return (
    <PasswordInput
      label={label}
      description="At least 12 characters."
      autoComplete="new-password"
      required
      minLength={12}
      value={value}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
  );
}
