/** Addresses of the application. Every page is loaded when it is opened. */
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
import { formatSearch, parseSearch } from "./lib/search-params";
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
const accountPages = [
  { path: "/sign-in", component: lazyRouteComponent(account, "SignIn") },
  { path: "/sign-in/callback/$provider", component: lazyRouteComponent(account, "ProviderCallback") },
  { path: "/setup", component: lazyRouteComponent(account, "SetUp") },
  { path: "/invitation", component: lazyRouteComponent(account, "Invitation") },
  { path: "/forgot-password", component: lazyRouteComponent(account, "ForgotPassword") },
  { path: "/reset-password", component: lazyRouteComponent(account, "ResetPassword") },
  { path: "/dashboard/cli-auth", component: lazyRouteComponent(account, "Device") },
].map((page) => createRoute({ getParentRoute: () => root, ...page }));

const dashboard = createRoute({
  getParentRoute: () => root,
  path: "/dashboard",
  beforeLoad: async ({ location }) => {
    const session = await queryClient.ensureQueryData(sessionQuery);
    if (session === null) throw redirect({ to: "/sign-in", search: { next: location.href } as never });
  },
  component: lazyRouteComponent(() => import("./shell/Shell"), "Shell"),
});

const pages = [
  { path: "/", component: lazyRouteComponent(() => import("./pages/overview"), "Overview") },
  { path: "/get-started", component: lazyRouteComponent(() => import("./pages/overview"), "GetStarted") },
  { path: "/messages", component: lazyRouteComponent(() => import("./pages/messages"), "Messages") },
  { path: "/messages/$id", component: lazyRouteComponent(() => import("./pages/message"), "MessagePage") },
  {
    path: "/applications",
    component: lazyRouteComponent(() => import("./pages/applications"), "Applications"),
  },
  {
    path: "/applications/$id",
    component: lazyRouteComponent(() => import("./pages/applications"), "ApplicationPage"),
  },
  { path: "/endpoints", component: lazyRouteComponent(() => import("./pages/endpoints"), "Endpoints") },
  {
    path: "/endpoints/$appId/$id",
    component: lazyRouteComponent(() => import("./pages/endpoint"), "EndpointPage"),
  },
  { path: "/event-types", component: lazyRouteComponent(() => import("./pages/event-types"), "EventTypes") },
  {
    path: "/event-types/$id",
    component: lazyRouteComponent(() => import("./pages/event-types"), "EventTypePage"),
  },
  { path: "/queues", component: lazyRouteComponent(() => import("./pages/engine"), "Queues") },
  { path: "/jobs", component: lazyRouteComponent(() => import("./pages/engine"), "Jobs") },
  { path: "/settings", component: lazyRouteComponent(() => import("./pages/settings"), "Settings") },
  { path: "/settings/$section", component: lazyRouteComponent(() => import("./pages/settings"), "Settings") },
].map((page) => createRoute({ getParentRoute: () => dashboard, ...page }));

export const router = createRouter({
  routeTree: root.addChildren([start, ...accountPages, dashboard.addChildren(pages)]),
  parseSearch,
  stringifySearch: formatSearch,
  scrollRestoration: true,
  defaultErrorComponent: RouteError,
  defaultPreload: "intent",
  defaultPreloadStaleTime: 0,
});
