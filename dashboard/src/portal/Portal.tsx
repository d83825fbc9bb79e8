/** Portal: tabs and the page of the address. No sidebar, no product name: the host's page is the frame. */
import { MantineProvider } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useState, useSyncExternalStore } from "react";
import { theme as mantine } from "@/theme/theme";
import { portalQuery, tokens } from "./api";
import { useWords } from "./i18n";
import { Loading, LoadError } from "./parts";
import { hrefOf, type Place, usePlace } from "./place";
import { Activity } from "./pages/Activity";
import { Catalogue } from "./pages/Catalogue";
import { EndpointPage } from "./pages/EndpointPage";
import { Endpoints } from "./pages/Endpoints";
import { MessagePage } from "./pages/MessagePage";
import { Messages } from "./pages/Messages";
import classes from "./portal.module.css";
import { applyTheme, schemeOf, themeOfAddress, withStored } from "./theme";
import { MESSAGES } from "./token";

const TABS = ["endpoints", "messages", "catalogue", "activity"] as const;
const dark = matchMedia("(prefers-color-scheme: dark)");

function useSystemDark(): boolean {
  return useSyncExternalStore(
    (listener) => {
      dark.addEventListener("change", listener);
      return () => dark.removeEventListener("change", listener);
    },
    () => dark.matches,
  );
}

/** Tells the page that embeds the portal how high it is. */
function useReportedHeight(): void {
  useEffect(() => {
    if (window.parent === window) return;
    const report = () =>
      window.parent.postMessage(
        { type: MESSAGES.height, height: document.documentElement.offsetHeight },
        "*",
      );
    const observer = new ResizeObserver(report);
    observer.observe(document.documentElement);
    return () => observer.disconnect();
  }, []);
}

export function Portal() {
  const state = useSyncExternalStore(tokens.subscribe, tokens.current);
  const portal = useQuery({ ...portalQuery, enabled: state === "open" });
  const isSystemDark = useSystemDark();
  const address = useMemo(() => themeOfAddress(location.search), []);
  const stored = portal.data?.portal.theme;
  const theme = useMemo(() => (stored ? withStored(address, stored) : address), [address, stored]);
  const scheme = schemeOf(theme, isSystemDark);
  useEffect(() => applyTheme(theme, scheme), [theme, scheme]);
  useReportedHeight();
  return (
    <MantineProvider
      theme={mantine}
      forceColorScheme={scheme}
      withCssVariables={false}
      withGlobalClasses={false}
    >
      {state !== "open" ? <Ended /> : <Frame icon={theme.icon} portal={portal} />}
    </MantineProvider>
  );
}

function Ended() {
  const { t } = useWords();
  return (
    <div className={classes.ended} role="status">
      <p>{t("sessionEnded")}</p>
    </div>
  );
}

interface FrameProps {
  icon: string | undefined;
  portal: { data?: unknown; error: unknown; refetch: () => unknown };
}

function Frame({ icon, portal }: FrameProps) {
  const { t } = useWords();
  const place = usePlace();
  const query = new URLSearchParams(location.search);
  const [next, setNext] = useState(query.get("next"));
  useEffect(() => {
    if (next === null) return;
    location.hash = `#/${next.replace(/^\/+/, "")}`;
    setNext(null);
  }, [next]);
  const current = TABS.find((tab) => tab === place.path[0]) ?? "endpoints";
  return (
    <div className={classes.frame} data-flush={query.get("noGutters") === "true" || undefined}>
      {query.get("hideNavigation") !== "true" && (
        <nav className={classes.tabs} aria-label={t("navigation")}>
          {icon !== undefined && <img src={icon} alt="" className={classes.icon} />}
          {TABS.map((tab) => (
            <a
              key={tab}
              href={hrefOf([tab])}
              className={classes.tab}
              aria-current={tab === current ? "page" : undefined}
            >
              {t(tab)}
            </a>
          ))}
        </nav>
      )}
      <main className={classes.page}>
        {portal.data ? (
          <Page place={place} />
        ) : portal.error ? (
          <LoadError error={portal.error} onRetry={() => void portal.refetch()} />
        ) : (
          <Loading rows={6} />
        )}
      </main>
    </div>
  );
}

function Page({ place }: { place: Place }) {
  const [tab, id] = place.path;
  if (tab === "messages")
    return id === undefined ? <Messages query={place.query} /> : <MessagePage key={id} id={id} />;
  if (tab === "catalogue") return <Catalogue name={id} />;
  if (tab === "activity") return <Activity />;
  return id === undefined ? <Endpoints /> : <EndpointPage key={id} id={id} />;
}
