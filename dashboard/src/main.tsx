/** Entry of the dashboard. */
import "@fontsource-variable/inter/wght.css";
import "@fontsource-variable/jetbrains-mono/wght.css";
import "./theme/styles.css";
import { localStorageColorSchemeManager, MantineProvider } from "@mantine/core";
import { Notifications } from "@mantine/notifications";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { onSessionEnd, queryClient } from "./api/client";
import { sessionQuery } from "./api/session";
import { router } from "./router";
import { theme } from "./theme/theme";

/** The same key as in public/scheme.js, which sets the scheme before the first paint. */
const scheme = localStorageColorSchemeManager({ key: "hookstream.scheme" });

onSessionEnd(() => {
  if (queryClient.getQueryData(sessionQuery.queryKey) === null) return;
  queryClient.setQueryData(sessionQuery.queryKey, null);
  void router.invalidate();
});

const root = document.getElementById("root");
if (root === null) throw new Error("index.html has an element `root`");
createRoot(root).render(
  <StrictMode>
    <MantineProvider
      theme={theme}
      defaultColorScheme="auto"
      colorSchemeManager={scheme}
      withCssVariables={false}
      withGlobalClasses={false}
    >
      <QueryClientProvider client={queryClient}>
        <RouterProvider router={router} />
        <Notifications position="bottom-right" limit={3} />
      </QueryClientProvider>
    </MantineProvider>
  </StrictMode>,
);
