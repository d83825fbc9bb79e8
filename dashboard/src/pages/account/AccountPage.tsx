/** Frame of the pages without the shell: one card with a form. */
import { type ReactNode, useEffect } from "react";
import { Mark } from "@/shell/Switcher";
import classes from "./account.module.css";

interface Props {
  title: string;
  lead?: ReactNode;
  children: ReactNode;
}

export function AccountPage({ title, lead, children }: Props) {
  useEffect(() => {
    document.title = `${title} · Hookstream`;
  }, [title]);
  return (
    <main className={classes.page}>
      <div className={classes.card}>
        <Mark size={28} />
        <div>
          <h1>{title}</h1>
          {lead !== undefined && <p className="ink-2">{lead}</p>}
        </div>
        {children}
      </div>
    </main>
  );
}

/** Form whose button shows that it works. */
export function AccountForm({ onSubmit, children }: { onSubmit: () => void; children: ReactNode }) {
  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault();
        onSubmit();
      }}
    >
      {children}
    </form>
  );
}

/** Returns the token behind the `#` of the address, which no server and no log gets to see. */
export function tokenOfAddress(): string {
  return new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
}

/**
 * Returns the page to open after the sign-in. Only a path of this installation counts: the parsed address decides,
 * because a parser drops tabs and reads a backslash as a slash.
 */
export function nextPath(next: string | null, origin: string): string {
  try {
    const url = new URL(next ?? "", `${origin}/dashboard`);
    return next && url.origin === origin ? url.pathname + url.search + url.hash : "/dashboard";
  } catch {
    return "/dashboard";
  }
}
