/** Settings: list of sections left, one section right. */
import { Link, useParams } from "@tanstack/react-router";
import type { ComponentType } from "react";
import { useRole } from "@/api/session";
import { may, type Permission } from "@/lib/permissions";
import { EmptyState } from "@/components/feedback/EmptyState";
import { Page, Title } from "@/components/page/Page";
import classes from "../pages.module.css";
import { Account } from "./Account";
import { ApiKeys } from "./ApiKeys";
import { AuditLog } from "./AuditLog";
import { Environments } from "./Environments";
import { Members } from "./Members";
import { Organization } from "./Organization";
import { Sessions } from "./Sessions";
import { SecondFactor } from "./SecondFactor";
import { UsageSection } from "./UsageSection";

interface Section {
  name: string;
  /** Authority without which the section is absent. */
  needs?: Permission;
  label: string;
  component: ComponentType;
}

const SECTIONS: Section[] = [
  { name: "organization", label: "Organization", component: Organization },
  { name: "environments", label: "Environments", component: Environments },
  { name: "members", label: "Members", component: Members },
  { name: "api-keys", label: "API keys", component: ApiKeys, needs: "api_keys:write" },
  { name: "usage", label: "Usage and quotas", component: UsageSection },
  { name: "audit-log", label: "Audit log", component: AuditLog, needs: "audit:read" },
  { name: "account", label: "Account", component: Account },
  { name: "second-factor", label: "Second factor", component: SecondFactor },
  { name: "sessions", label: "Sessions", component: Sessions },
];

export function Settings() {
  const { section = "organization" } = useParams({ strict: false });
  const role = useRole();
  const sections = SECTIONS.filter((one) => one.needs === undefined || may(role, one.needs));
  const current = sections.find((one) => one.name === section);
  const Content = current?.component;
  return (
    <Page
      crumbs={[
        { label: "Settings", link: { to: "/dashboard/settings" } },
        { label: current?.label ?? "Settings" },
      ]}
    >
      <div className={classes.settings}>
        <nav aria-label="Sections" className={classes.sections}>
          {sections.map((one) => (
            <Link
              key={one.name}
              to="/dashboard/settings/$section"
              params={{ section: one.name }}
              className={classes.section}
              aria-current={one === current ? "page" : undefined}
              // On a phone the sections are a line that scrolls.
              ref={one === current ? showInLine : undefined}
            >
              {one.label}
            </Link>
          ))}
        </nav>
        <div className="stack">
          {Content ? (
            <>
              <Title text={current.label} />
              <Content />
            </>
          ) : (
            <EmptyState title="There is no such section">
              {SECTIONS.some((one) => one.name === section)
                ? "Your role does not read it. Ask an owner or an administrator."
                : undefined}
            </EmptyState>
          )}
        </div>
      </div>
    </Page>
  );
}

function showInLine(link: HTMLAnchorElement | null): void {
  link?.scrollIntoView({ block: "nearest", inline: "center" });
}
