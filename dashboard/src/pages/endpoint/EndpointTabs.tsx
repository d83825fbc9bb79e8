/** Tabs of an endpoint. A tab that the role may not read is absent. */
import { Tabs } from "@mantine/core";
import type { Endpoint, EndpointPath } from "@/api/endpoints";
import { useMay } from "@/api/session";
import { OperationalMessages } from "../messages/OperationalMessages";
import pages from "../pages.module.css";
import { EndpointActivity } from "./EndpointActivity";
import { EndpointAttempts } from "./EndpointAttempts";
import { EndpointJobs } from "./EndpointJobs";
import { EndpointMessages } from "./EndpointMessages";
import { EndpointSettings } from "./EndpointSettings";
import { Signing } from "./Signing";
import classes from "./Endpoint.module.css";

interface Props {
  path: EndpointPath;
  endpoint: Endpoint;
  tab: string;
  onTab: (tab: string) => void;
  onEdit: (() => void) | undefined;
}

export function EndpointTabs({ path, endpoint, tab, onTab, onEdit }: Props) {
  const mayReadAudit = useMay("audit:read");
  return (
    <Tabs value={tab} onChange={(value) => onTab(value ?? "attempts")} keepMounted={false}>
      <Tabs.List className={pages.tabs}>
        <Tabs.Tab value="attempts">Attempts</Tabs.Tab>
        <Tabs.Tab value="messages">Messages</Tabs.Tab>
        <Tabs.Tab value="settings">Settings</Tabs.Tab>
        <Tabs.Tab value="signing">Signing</Tabs.Tab>
        {path.appId !== null && <Tabs.Tab value="jobs">Jobs</Tabs.Tab>}
        {mayReadAudit && <Tabs.Tab value="activity">Activity</Tabs.Tab>}
      </Tabs.List>
      <Tabs.Panel value="attempts" pt={14}>
        <div className={classes.attempts}>
          <EndpointAttempts path={path} />
          <EndpointSettings path={path} endpoint={endpoint} onEdit={onEdit} />
        </div>
      </Tabs.Panel>
      <Tabs.Panel value="messages" pt={14}>
        {path.appId === null ? (
          <OperationalMessages endpointId={endpoint.id} />
        ) : (
          <EndpointMessages endpointId={endpoint.id} />
        )}
      </Tabs.Panel>
      <Tabs.Panel value="settings" pt={14}>
        <EndpointSettings path={path} endpoint={endpoint} onEdit={onEdit} isWide />
      </Tabs.Panel>
      <Tabs.Panel value="signing" pt={14}>
        <Signing path={path} endpoint={endpoint} />
      </Tabs.Panel>
      {path.appId !== null && (
        <Tabs.Panel value="jobs" pt={14}>
          <EndpointJobs endpointId={endpoint.id} />
        </Tabs.Panel>
      )}
      {mayReadAudit && (
        <Tabs.Panel value="activity" pt={14}>
          <EndpointActivity endpointId={endpoint.id} />
        </Tabs.Panel>
      )}
    </Tabs>
  );
}
