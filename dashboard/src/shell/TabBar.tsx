/** Tab bar of a phone, in place of the sidebar. */
import { Drawer, UnstyledButton } from "@mantine/core";
import { spotlight } from "@mantine/spotlight";
import { IconMenu2, IconSearch } from "@tabler/icons-react";
import { Link, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { signOut, useRole } from "@/api/session";
import {
  ALERTS,
  APPLICATIONS,
  BACKUPS,
  ENDPOINTS,
  EVENT_TYPES,
  isOpenTo,
  JOBS,
  MESSAGES,
  MONITORING,
  NODES,
  OPERATIONAL_WEBHOOKS,
  OVERVIEW,
  QUEUES,
  SETTINGS,
} from "./navigation";
import classes from "./Shell.module.css";

const TABS = [OVERVIEW, MESSAGES, ENDPOINTS, { ...QUEUES, label: "Queues" }];
const MORE = [
  APPLICATIONS,
  EVENT_TYPES,
  ALERTS,
  JOBS,
  NODES,
  MONITORING,
  BACKUPS,
  OPERATIONAL_WEBHOOKS,
  SETTINGS,
];

export function TabBar() {
  const [isOpen, setOpen] = useState(false);
  const navigate = useNavigate();
  const role = useRole();
  return (
    <nav aria-label="Main" className={classes.tabs}>
      {TABS.map(({ to, label, icon: Icon, isExact }) => (
        <Link
          key={to}
          to={to}
          className={classes.tab}
          activeOptions={{ exact: isExact ?? false, includeSearch: false }}
          activeProps={{ "aria-current": "page" }}
        >
          <Icon size={19} stroke={1.7} />
          {label}
        </Link>
      ))}
      <UnstyledButton className={classes.tab} onClick={() => setOpen(true)}>
        <IconMenu2 size={19} stroke={1.7} />
        More
      </UnstyledButton>
      <Drawer opened={isOpen} onClose={() => setOpen(false)} position="bottom" size="auto" title="More">
        <div className={classes.more}>
          <UnstyledButton
            className={classes.item}
            onClick={() => {
              setOpen(false);
              spotlight.open();
            }}
          >
            <IconSearch size={18} stroke={1.7} /> Search or jump to
          </UnstyledButton>
          {MORE.filter((place) => isOpenTo(role, place)).map(({ to, label, icon: Icon }) => (
            <Link key={to} to={to} className={classes.item} onClick={() => setOpen(false)}>
              <Icon size={18} stroke={1.7} /> {label}
            </Link>
          ))}
          <UnstyledButton
            className={classes.item}
            onClick={() => void signOut().then(() => navigate({ to: "/sign-in" }))}
          >
            Sign out
          </UnstyledButton>
        </div>
      </Drawer>
    </nav>
  );
}
