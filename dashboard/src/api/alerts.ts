/** Alerts of the environment, the rules that raise them, and the notification channels that are told. */
import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { answered, api, queryClient, type Schemas } from "./client";

export type Alert = Schemas["Alert"];
export type AlertRule = Schemas["AlertRule"];
export type Channel = Schemas["Channel"];

/** Time after which a page asks again: the live stream does not tell of alerts. */
export const ALERTS_POLL_MS = 5_000;
/** Time after which the sidebar asks again for what fires. */
export const FIRING_POLL_MS = 30_000;

/** Alerts that a page shows as firing, at most. */
const FIRING_MAX = 100;

/** Alerts that fire, newest first, and whether there are more than these. */
export const firingAlertsQuery = queryOptions({
  queryKey: ["alerts", "firing"],
  queryFn: () =>
    answered(api.GET("/v1/alerts", { params: { query: { limit: FIRING_MAX, state: "firing" } } })),
});

/** Pages of alerts, firing and resolved, newest first. */
export function alertsQuery(ruleId: string | undefined) {
  return infiniteQueryOptions({
    queryKey: ["alerts", "list", ruleId ?? ""],
    queryFn: ({ pageParam }) => {
      const query = {
        limit: 50,
        ...(ruleId === undefined ? {} : { rule_id: ruleId }),
        ...(pageParam ? { cursor: pageParam } : {}),
      };
      return answered(api.GET("/v1/alerts", { params: { query } }));
    },
    initialPageParam: "",
    getNextPageParam: (page) => (page.has_more ? (page.cursor ?? undefined) : undefined),
  });
}

/** Rules of the environment, newest first; there are at most 100. */
export const alertRulesQuery = queryOptions({
  queryKey: ["alert-rules"],
  queryFn: () => answered(api.GET("/v1/alert-rules", { params: { query: { limit: 100 } } })),
  select: (answer) => answer.alert_rules,
});

/** Notification channels of the environment, newest first; there are at most 50. */
export const channelsQuery = queryOptions({
  queryKey: ["notification-channels"],
  queryFn: () => answered(api.GET("/v1/notification-channels", { params: { query: { limit: 100 } } })),
  select: (answer) => answer.channels,
});

/** Reads rules and alerts again, after a change of a rule. */
export function refreshRules(): Promise<unknown> {
  return Promise.all([
    queryClient.invalidateQueries({ queryKey: alertRulesQuery.queryKey }),
    queryClient.invalidateQueries({ queryKey: ["alerts"] }),
  ]);
}

/** Reads the channels again. */
export function refreshChannels(): Promise<unknown> {
  return queryClient.invalidateQueries({ queryKey: channelsQuery.queryKey });
}

export function createAlertRule(body: Schemas["CreateAlertRule"]) {
  return answered(api.POST("/v1/alert-rules", { body }));
}

export function updateAlertRule(id: string, body: Schemas["UpdateAlertRule"]) {
  return answered(api.PATCH("/v1/alert-rules/{id}", { params: { path: { id } }, body }));
}

export function deleteAlertRule(id: string) {
  return answered(api.DELETE("/v1/alert-rules/{id}", { params: { path: { id } } }));
}

export function createChannel(body: Schemas["CreateChannel"]) {
  return answered(api.POST("/v1/notification-channels", { body }));
}

export function updateChannel(id: string, body: Schemas["UpdateChannel"]) {
  return answered(api.PATCH("/v1/notification-channels/{id}", { params: { path: { id } }, body }));
}

export function deleteChannel(id: string) {
  return answered(api.DELETE("/v1/notification-channels/{id}", { params: { path: { id } } }));
}

/** Sends a test notification. The answer comes after its attempt, within 9 s. */
export function testChannel(id: string) {
  return answered(api.POST("/v1/notification-channels/{id}/test", { params: { path: { id } } }));
}
