/** Frame around every page behind the sign-in: sidebar, palette, keys, and the tab bar of a phone. */
import { Outlet, useNavigate } from "@tanstack/react-router";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { LiveProvider } from "@/api/live";
import { environmentsQuery } from "@/api/identity";
import { useRole, useSession } from "@/api/session";
import { KeysProvider, useKeys } from "./keys";
import { KeyHelp } from "./KeyHelp";
import { isOpenTo, PLACES } from "./navigation";
import { Palette } from "./Palette";
import { Sidebar } from "./Sidebar";
import { TabBar } from "./TabBar";
import classes from "./Shell.module.css";

export function Shell() {
  return (
    <KeysProvider>
      <LiveProvider>
        <Frame />
      </LiveProvider>
    </KeysProvider>
  );
}

function Frame() {
  const navigate = useNavigate();
  const [isHelpOpen, setHelpOpen] = useState(false);
  const session = useSession();
  const role = useRole();
  const { data: environments } = useQuery(environmentsQuery);
  const environment = environments?.find((one) => one.id === session.env_id);
  const isOther = environment !== undefined && environment.is_production !== 1;
  useKeys([
    ...PLACES.filter((place) => isOpenTo(role, place)).flatMap((place) =>
      place.keys
        ? [{ keys: place.keys, label: `Go to ${place.label}`, run: () => void navigate({ to: place.to }) }]
        : [],
    ),
    { keys: "?", label: "All keys of this page", run: () => setHelpOpen(true) },
  ]);
  return (
    <div className={classes.shell} data-other={isOther || undefined}>
      <a href="#content" className={classes.skip}>
        Skip to content
      </a>
      <Sidebar environment={environment} onHelp={() => setHelpOpen(true)} />
      <div className={classes.page}>
        <Outlet />
      </div>
      <TabBar />
      <Palette />
      <KeyHelp isOpen={isHelpOpen} onClose={() => setHelpOpen(false)} />
    </div>
  );
}
