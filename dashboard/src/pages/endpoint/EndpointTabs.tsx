/** Tabs of an endpoint. A tab that the role may not read is absent. */
import { Tabs } from "@mantine/core";
import type { Endpoint } from "@/api/endpoints";
import { useMay } from "@/api/session";
import pages from "../pages.module.css";
import { EndpointActivity } from "./EndpointActivity";
import { EndpointAttempts } from "./EndpointAttempts";
import { EndpointJobs } from "./EndpointJobs";
import { EndpointMessages } from "./EndpointMessages";
import { EndpointSettings } from "./EndpointSettings";
import { Signing } from "./Signing";
import classes from "./Endpoint.module.css";

interface Props {
  endpoint: Endpoint;
  tab: string;
  onTab: (tab: string) => void;
  onEdit: (() => void) | undefined;
}

export function EndpointTabs({ endpoint, tab, onTab, onEdit }: Props) {
  const path = { appId: endpoint.application_id, id: endpoint.id };
  const mayReadAudit = useMay("audit:read");
  return (
    <Tabs value={tab} onChange={(value) => onTab(value ?? "attempts")} keepMounted={false}>
      <Tabs.List className={pages.tabs}>
        <Tabs.Tab value="attempts">Attempts</Tabs.Tab>
        <Tabs.Tab value="messages">Messages</Tabs.Tab>
        <Tabs.Tab value="settings">Settings</Tabs.Tab>
        <Tabs.Tab value="signing">Signing</Tabs.Tab>
        <Tabs.Tab value="jobs">Jobs</Tabs.Tab>
        {mayReadAudit && <Tabs.Tab value="activity">Activity</Tabs.Tab>}
      </Tabs.List>
      <Tabs.Panel value="attempts" pt={14}>
        <div className={classes.attempts}>
          <EndpointAttempts path={path} />
          <EndpointSettings endpoint={endpoint} onEdit={onEdit} />
        </div>
      </Tabs.Panel>
      <Tabs.Panel value="messages" pt={14}>
        <EndpointMessages endpointId={endpoint.id} />
      </Tabs.Panel>
      <Tabs.Panel value="settings" pt={14}>
        <EndpointSettings endpoint={endpoint} onEdit={onEdit} isWide />
      </Tabs.Panel>
      <Tabs.Panel value="signing" pt={14}>
        <Signing path={path} endpoint={endpoint} />
      </Tabs.Panel>
      <Tabs.Panel value="jobs" pt={14}>
        <EndpointJobs endpointId={endpoint.id} />
      </Tabs.Panel>
      {mayReadAudit && (
        <Tabs.Panel value="activity" pt={14}>
          <EndpointActivity endpointId={endpoint.id} />
        </Tabs.Panel>
      )}
    </Tabs>
  );
}
