/** Switch of organization and environment. */
import { Menu, UnstyledButton } from "@mantine/core";
import { IconCheck, IconSelector } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type Environment, environmentsQuery } from "@/api/identity";
import { turnTo, useSession } from "@/api/session";
import classes from "./Shell.module.css";

export function Switcher({ environment }: { environment: Environment | undefined }) {
  const session = useSession();
  const navigate = useNavigate();
  const { data: environments } = useQuery(environmentsQuery);
  const organization = session.memberships.find((one) => one.org_id === session.org_id);
  const turn = async (target: { env_id?: string; org_id?: string }) => {
    await turnTo(target);
    await navigate({ to: "/dashboard" });
  };
  return (
    <Menu position="bottom-start" width={232}>
      <Menu.Target>
        <UnstyledButton className={classes.switcher}>
          <Mark />
          <span className={classes.switcherText}>
            <span className="visually-hidden">Organization and environment</span>
            <strong className="cut">{organization?.name ?? "No organization"}</strong>
            <span className="cut" data-environment>
              {environment?.name ?? ""}
            </span>
          </span>
          <IconSelector size={15} stroke={1.7} />
        </UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>Environment</Menu.Label>
        {environments
          ?.filter((one) => !one.deleted_at)
          .map((one) => (
            <Menu.Item
              key={one.id}
              rightSection={one.id === session.env_id ? <IconCheck size={14} /> : null}
              onClick={() => void turn({ env_id: one.id })}
            >
              {one.name}
            </Menu.Item>
          ))}
        {session.memberships.length > 1 && (
          <>
            <Menu.Label>Organization</Menu.Label>
            {session.memberships.map((one) => (
              <Menu.Item
                key={one.org_id}
                rightSection={one.org_id === session.org_id ? <IconCheck size={14} /> : null}
                onClick={() => void turn({ org_id: one.org_id })}
              >
                {one.name}
              </Menu.Item>
            ))}
          </>
        )}
      </Menu.Dropdown>
    </Menu>
  );
}

/** The product's mark. */
export function Mark({ size = 22 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 22 22" className={classes.mark} aria-hidden>
      <rect width="22" height="22" rx="6" fill="var(--ink)" />
      <path
        d="M7 6v5.2a4 4 0 0 0 8 0V9.6"
        fill="none"
        stroke="var(--bg-page)"
        strokeWidth="2"
        strokeLinecap="round"
      />
      <circle cx="15" cy="6.6" r="1.5" fill="var(--bg-page)" />
    </svg>
  );
}
