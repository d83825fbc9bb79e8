/** Sign-in with an identity provider: the buttons that leave for it, and the page that it leads back to. */
import { Button } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { useEffect, useRef } from "react";
import { beginWithProvider, endWithProvider } from "@/api/account";
import { queryClient } from "@/api/client";
import { providersQuery } from "@/api/session";
import { ActError } from "@/components/feedback/ErrorState";
import { AccountPage, nextPath } from "./AccountPage";

/** Page to open afterwards: this browser's own business, and nothing is decided by it. */
const NEXT = "hookstream.next";

/** Leaves for a provider, to sign in or to connect it to the account. */
export async function leaveFor(provider: string, connect: boolean): Promise<void> {
  const { url } = await beginWithProvider(provider, connect);
  sessionStorage.setItem(NEXT, new URLSearchParams(location.search).get("next") ?? "");
  location.assign(url);
}

export function ProviderButtons({ words }: { words: string }) {
  const { data } = useQuery(providersQuery);
  const leaving = useMutation({ mutationFn: (name: string) => leaveFor(name, false) });
  if (!data || data.providers.length === 0) return null;
  return (
    <div className="stack-small">
      {data.providers.map((provider) => (
        <Button key={provider.name} size="sm" fullWidth onClick={() => leaving.mutate(provider.name)}>
          {words} {provider.title}
        </Button>
      ))}
      <ActError error={leaving.error} />
    </div>
  );
}

/** Words of a provider instead of a code (RFC 6749 section 4.1.2.1), in ours: its own text may be anybody's. */
const REFUSALS: Record<string, string> = {
  access_denied: "The provider refused access, or you cancelled.",
  login_required: "The provider requires you to sign in there first.",
  temporarily_unavailable: "The provider is not available at the moment. Try again in a few minutes.",
  server_error: "The provider reported an error. Try again in a few minutes.",
};

export function ProviderCallback() {
  const { provider } = useParams({ from: "/sign-in/callback/$provider" });
  const navigate = useNavigate();
  const begun = useRef(false);
  const ending = useMutation({
    mutationFn: async (query: URLSearchParams) => {
      const [code, state, iss, refusal] = ["code", "state", "iss", "error"].map((name) => query.get(name));
      if (refusal || !code)
        throw new Error(REFUSALS[refusal ?? ""] ?? "The provider did not identify you. Sign in again.");
      await endWithProvider(provider, { code, state: state ?? "", ...(iss ? { iss } : {}) });
    },
    onSuccess: async () => {
      const next = nextPath(sessionStorage.getItem(NEXT), location.origin);
      sessionStorage.removeItem(NEXT);
      queryClient.clear();
      await navigate({ href: next, replace: true });
    },
  });
  const { mutate } = ending;
  useEffect(() => {
    if (begun.current) return;
    begun.current = true;
    const query = new URLSearchParams(location.search);
    // The code is valid once, and does not stay in the history.
    history.replaceState(null, "", location.pathname);
    mutate(query);
  }, [mutate]);
  return (
    <AccountPage title={ending.isError ? "Sign-in failed" : "Signing in"}>
      <ActError error={ending.error} />
      {ending.isError && <Link to="/sign-in">Back to sign-in</Link>}
    </AccountPage>
  );
}
