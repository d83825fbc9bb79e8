/** Addresses of the application and their search parameters. Every page is loaded when it is opened. */
import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Outlet,
  redirect,
} from "@tanstack/react-router";
import { queryClient } from "./api/client";
import { sessionQuery } from "./api/session";
import { formatSearch, parseSearch, pick } from "./lib/search-params";
import { follow, withoutEnvironment } from "./shell/linked-environment";
import { NotFound, RouteError } from "./shell/RouteError";

const root = createRootRoute({ component: Outlet, notFoundComponent: NotFound, errorComponent: RouteError });

const start = createRoute({
  getParentRoute: () => root,
  path: "/",
  beforeLoad: () => {
    throw redirect({ to: "/dashboard" });
  },
});

/** Pages without the shell: for people who are not signed in, and the approval of a device. */
const account = () => import("./pages/account");

const signIn = createRoute({
  getParentRoute: () => root,
  path: "/sign-in",
  // Other parameters stay: links of mails and identity providers carry them.
  validateSearch: (search): { next?: string } => search,
  component: lazyRouteComponent(account, "SignIn"),
});
const provider = createRoute({
  getParentRoute: () => root,
  path: "/sign-in/callback/$provider",
  component: lazyRouteComponent(account, "ProviderCallback"),
});
const setup = createRoute({
  getParentRoute: () => root,
  path: "/setup",
  component: lazyRouteComponent(account, "SetUp"),
});
const invitation = createRoute({
  getParentRoute: () => root,
  path: "/invitation",
  component: lazyRouteComponent(account, "Invitation"),
});
const forgotPassword = createRoute({
  getParentRoute: () => root,
  path: "/forgot-password",
  component: lazyRouteComponent(account, "ForgotPassword"),
});
const resetPassword = createRoute({
  getParentRoute: () => root,
  path: "/reset-password",
  component: lazyRouteComponent(account, "ResetPassword"),
});
const device = createRoute({
  getParentRoute: () => root,
  path: "/dashboard/cli-auth",
  component: lazyRouteComponent(account, "Device"),
});

const linkedEnvironment = pick("org", "env");

const dashboard = createRoute({
  getParentRoute: () => root,
  path: "/dashboard",
  // Links of notifications name their environment.
  validateSearch: linkedEnvironment,
  beforeLoad: async ({ location }) => {
    const session = await queryClient.ensureQueryData(sessionQuery);
    if (session === null) throw redirect({ to: "/sign-in", search: { next: location.href } });
    const link = linkedEnvironment(location.search);
    if (link.org === undefined && link.env === undefined) return;
    await follow(link, session);
    throw redirect({ to: location.pathname, search: withoutEnvironment(location.search), replace: true });
  },
  component: lazyRouteComponent(() => import("./shell/Shell"), "Shell"),
});

const overview = createRoute({
  getParentRoute: () => dashboard,
  path: "/",
  validateSearch: pick("range", "view"),
  component: lazyRouteComponent(() => import("./pages/overview"), "Overview"),
});
const getStarted = createRoute({
  getParentRoute: () => dashboard,
  path: "/get-started",
  component: lazyRouteComponent(() => import("./pages/overview"), "GetStarted"),
});
const messages = createRoute({
  getParentRoute: () => dashboard,
  path: "/messages",
  validateSearch: pick(
    "status",
    "event_type",
    "application_id",
    "since",
    "until",
    "endpoint_id",
    "event_id",
    "channel",
    "search",
    "send",
    "retry",
  ),
  component: lazyRouteComponent(() => import("./pages/messages"), "Messages"),
});
const message = createRoute({
  getParentRoute: () => dashboard,
  path: "/messages/$id",
  validateSearch: pick("delivery", "attempt"),
  component: lazyRouteComponent(() => import("./pages/message"), "MessagePage"),
});
const applications = createRoute({
  getParentRoute: () => dashboard,
  path: "/applications",
  validateSearch: pick("search", "create"),
  component: lazyRouteComponent(() => import("./pages/applications"), "Applications"),
});
const application = createRoute({
  getParentRoute: () => dashboard,
  path: "/applications/$id",
  validateSearch: pick("open"),
  component: lazyRouteComponent(() => import("./pages/applications"), "ApplicationPage"),
});
/** Address of an endpoint as the API has it, which notifications link to. */
const endpointOfApplication = createRoute({
  getParentRoute: () => dashboard,
  path: "/applications/$appId/endpoints/$id",
  beforeLoad: ({ params }) => {
    throw redirect({ to: "/dashboard/endpoints/$appId/$id", params, replace: true });
  },
});
const endpoints = createRoute({
  getParentRoute: () => dashboard,
  path: "/endpoints",
  validateSearch: pick("view", "search", "application_id", "event_type"),
  component: lazyRouteComponent(() => import("./pages/endpoints"), "Endpoints"),
});
const endpoint = createRoute({
  getParentRoute: () => dashboard,
  path: "/endpoints/$appId/$id",
  validateSearch: pick("tab", "edit", "recover", "replay", "since"),
  component: lazyRouteComponent(() => import("./pages/endpoint"), "EndpointPage"),
});
const operationalWebhooks = createRoute({
  getParentRoute: () => dashboard,
  path: "/operational-webhooks",
  validateSearch: pick("create", "status"),
  component: lazyRouteComponent(() => import("./pages/operational"), "OperationalWebhooks"),
});
const operationalEndpoint = createRoute({
  getParentRoute: () => dashboard,
  path: "/operational-webhooks/endpoints/$id",
  validateSearch: pick("tab", "edit"),
  component: lazyRouteComponent(() => import("./pages/operational"), "OperationalEndpointPage"),
});
const operationalMessage = createRoute({
  getParentRoute: () => dashboard,
  path: "/operational-webhooks/messages/$id",
  validateSearch: pick("delivery", "attempt"),
  component: lazyRouteComponent(() => import("./pages/operational"), "OperationalMessagePage"),
});
const eventTypes = createRoute({
  getParentRoute: () => dashboard,
  path: "/event-types",
  validateSearch: pick("search", "create"),
  component: lazyRouteComponent(() => import("./pages/event-types"), "EventTypes"),
});
const eventType = createRoute({
  getParentRoute: () => dashboard,
  path: "/event-types/$id",
  component: lazyRouteComponent(() => import("./pages/event-types"), "EventTypePage"),
});
const queues = createRoute({
  getParentRoute: () => dashboard,
  path: "/queues",
  component: lazyRouteComponent(() => import("./pages/engine"), "Queues"),
});
const jobs = createRoute({
  getParentRoute: () => dashboard,
  path: "/jobs",
  validateSearch: pick("status"),
  component: lazyRouteComponent(() => import("./pages/engine"), "Jobs"),
});
const nodes = createRoute({
  getParentRoute: () => dashboard,
  path: "/nodes",
  component: lazyRouteComponent(() => import("./pages/engine"), "Nodes"),
});
const alerts = createRoute({
  getParentRoute: () => dashboard,
  path: "/alerts",
  validateSearch: pick("tab", "rule", "create", "edit"),
  component: lazyRouteComponent(() => import("./pages/alerts"), "Alerts"),
});
const operation = () => import("./pages/operation");
const backups = createRoute({
  getParentRoute: () => dashboard,
  path: "/backups",
  component: lazyRouteComponent(operation, "Backups"),
});
const monitoring = createRoute({
  getParentRoute: () => dashboard,
  path: "/monitoring",
  component: lazyRouteComponent(operation, "Monitoring"),
});
const auditFilters = pick("action", "resource_type", "resource_id", "actor_id", "env_id", "since", "until");
const settings = createRoute({
  getParentRoute: () => dashboard,
  path: "/settings",
  validateSearch: auditFilters,
  component: lazyRouteComponent(() => import("./pages/settings"), "Settings"),
});
const settingsSection = createRoute({
  getParentRoute: () => dashboard,
  path: "/settings/$section",
  validateSearch: auditFilters,
  component: lazyRouteComponent(() => import("./pages/settings"), "Settings"),
});

export const router = createRouter({
  routeTree: root.addChildren([
    start,
    signIn,
    provider,
    setup,
    invitation,
    forgotPassword,
    resetPassword,
    device,
    dashboard.addChildren([
      overview,
      getStarted,
      messages,
      message,
      applications,
      application,
      endpointOfApplication,
      endpoints,
      endpoint,
      eventTypes,
      eventType,
      queues,
      jobs,
      nodes,
      alerts,
      operationalWebhooks,
      operationalEndpoint,
      operationalMessage,
      backups,
      monitoring,
      settings,
      settingsSection,
    ]),
  ]),
  parseSearch,
  stringifySearch: formatSearch,
  scrollRestoration: true,
  defaultErrorComponent: RouteError,
  defaultPreload: "intent",
  defaultPreloadStaleTime: 0,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
