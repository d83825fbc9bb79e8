/** Sidebar: organization and environment, search, places, account. */
import { Menu, Tooltip, UnstyledButton, useMantineColorScheme } from "@mantine/core";
import { spotlight } from "@mantine/spotlight";
import { IconHelp, IconSearch } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { FIRING_POLL_MS, firingAlertsQuery } from "@/api/alerts";
import { quotasQuery } from "@/api/engine";
import type { Environment } from "@/api/identity";
import { problemsQuery } from "@/api/problems";
import { runningJobsQuery } from "@/api/jobs";
import { signOut, useRole, useSession } from "@/api/session";
import { Keys } from "@/components/feedback/Keys";
import { count } from "@/lib/words/numbers";
import { useLive } from "@/api/live";
import {
  ALERTS,
  APPLICATIONS,
  ENDPOINTS,
  EVENT_TYPES,
  GROUPS,
  isOpenTo,
  JOBS,
  OVERVIEW,
  type Place,
  SETTINGS,
} from "./navigation";
import { Switcher } from "./Switcher";
import classes from "./Shell.module.css";

interface Props {
  environment: Environment | undefined;
  onHelp: () => void;
}

/** What stands at the right of a place. */
interface Count {
  text: string;
  /** What is counted, for screen readers, if the text does not say it. */
  noun?: string;
  isRunning?: boolean;
  isBad?: boolean;
}

export function Sidebar({ environment, onHelp }: Props) {
  const role = useRole();
  const { data: quotas } = useQuery({ ...quotasQuery, staleTime: 60_000 });
  const { data: problems } = useQuery({ ...problemsQuery, staleTime: 60_000 });
  const running = useQuery(runningJobsQuery);
  useLive("jobs", () => running.refetch());
  const { data: firing } = useQuery({ ...firingAlertsQuery, refetchInterval: FIRING_POLL_MS });
  // Quotas count over all environments, so their counts are shown only where there is one.
  const isOnly = quotas?.environments.used === 1;
  const counts: Record<string, Count | false | undefined> = {
    [APPLICATIONS.to]: isOnly && { text: count(quotas.applications.used) },
    [ENDPOINTS.to]: problems && { text: count(problems.endpoints) },
    [EVENT_TYPES.to]: isOnly && { text: count(quotas.event_types.used) },
    [JOBS.to]: running.data?.length
      ? { text: `${count(running.data.length)} running`, isRunning: true }
      : undefined,
    [ALERTS.to]: firing?.alerts.length
      ? { text: `${count(firing.alerts.length)}${firing.has_more ? "+" : ""}`, noun: "firing", isBad: true }
      : undefined,
  };
  return (
    <aside className={classes.sidebar}>
      <Switcher environment={environment} />
      <UnstyledButton className={classes.search} onClick={() => spotlight.open()}>
        <IconSearch size={15} stroke={1.8} />
        <span className="grow">
          Search<span className="visually-hidden"> or jump to</span>
        </span>
        <Keys keys={isMac() ? "⌘K" : "Ctrl K"} />
      </UnstyledButton>
      <nav aria-label="Main" className={classes.nav}>
        <Item place={OVERVIEW} />
        {GROUPS.map((group) => (
          <div key={group.label} className={classes.group}>
            <span className={classes.groupLabel}>{group.label}</span>
            {group.places
              .filter((place) => isOpenTo(role, place))
              .map((place) => (
                <Item key={place.to} place={place} count={counts[place.to] || undefined} />
              ))}
          </div>
        ))}
      </nav>
      <div className={classes.foot}>
        <Item place={SETTINGS} />
        <UnstyledButton className={classes.item} onClick={onHelp}>
          <IconHelp size={16} stroke={1.7} />
          <span className="grow">Help and shortcuts</span>
          <Keys keys="?" />
        </UnstyledButton>
        <Account />
      </div>
    </aside>
  );
}

export function isMac(): boolean {
  return /Mac|iPhone|iPad/.test(navigator.userAgent);
}

function Item({ place, count: shown }: { place: Place; count?: Count | undefined }) {
  const Icon = place.icon;
  return (
    <Tooltip label={place.label} position="right" classNames={{ tooltip: classes.railTooltip ?? "" }}>
      <Link
        to={place.to}
        className={classes.item}
        activeOptions={{ exact: place.isExact ?? false, includeSearch: false }}
        activeProps={{ "aria-current": "page" }}
      >
        <Icon size={16} stroke={1.7} />
        <span className="grow">{place.label}</span>
        {shown && (
          <span
            className={classes.count}
            data-running={shown.isRunning || undefined}
            data-bad={shown.isBad || undefined}
          >
            {shown.text}
            {shown.noun && <span className="visually-hidden"> {shown.noun}</span>}
          </span>
        )}
      </Link>
    </Tooltip>
  );
}

function Account() {
  const { user } = useSession();
  const navigate = useNavigate();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const initials = (user.name || user.email)
    .split(/[\s@.]+/)
    .slice(0, 2)
    .map((word) => word.charAt(0).toUpperCase())
    .join("");
  return (
    <Menu position="top-start" width={208}>
      <Menu.Target>
        <UnstyledButton className={classes.account}>
          <span className={classes.initials} aria-hidden>
            {initials}
          </span>
          <span className="cut">{user.email}</span>
        </UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item
          onClick={() =>
            void navigate({ to: "/dashboard/settings/$section", params: { section: "account" } })
          }
        >
          Account
        </Menu.Item>
        <Menu.Item component="a" href="/docs">
          API reference
        </Menu.Item>
        <Menu.Label>Appearance</Menu.Label>
        {(["auto", "light", "dark"] as const).map((scheme) => (
          <Menu.Item
            key={scheme}
            closeMenuOnClick={false}
            aria-current={colorScheme === scheme}
            rightSection={colorScheme === scheme ? "✓" : null}
            onClick={() => setColorScheme(scheme)}
          >
            {{ auto: "As the system", light: "Light", dark: "Dark" }[scheme]}
          </Menu.Item>
        ))}
        <Menu.Divider />
        <Menu.Item onClick={() => void signOut().then(() => navigate({ to: "/sign-in" }))}>
          Sign out
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
