/** Entry of the portal: theme and language first, so that nothing flashes. */
import "@fontsource-variable/inter/wght.css";
import "@fontsource-variable/jetbrains-mono/wght.css";
import "../theme/styles.css";
import { QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { queryClient } from "@/api/client";
import { loadCatalogue, localeOf, WordsProvider } from "./i18n";
import { Portal } from "./Portal";
import { applyTheme, schemeOf, themeOfAddress } from "./theme";

const theme = themeOfAddress(location.search);
const scheme = schemeOf(theme, matchMedia("(prefers-color-scheme: dark)").matches);
document.documentElement.setAttribute("data-mantine-color-scheme", scheme);
applyTheme(theme, scheme);

const locale = localeOf(location.search, navigator.languages);
document.documentElement.lang = locale;

const root = document.getElementById("root");
if (root === null) throw new Error("portal.html has an element `root`");
const catalogue = await loadCatalogue(locale);
createRoot(root).render(
  <StrictMode>
    <WordsProvider locale={locale} catalogue={catalogue}>
      <QueryClientProvider client={queryClient}>
        <Portal />
      </QueryClientProvider>
    </WordsProvider>
  </StrictMode>,
);
