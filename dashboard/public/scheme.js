// Sets the color scheme before the first paint. It is a file of its own because the content security policy allows no
// inline script. The key is the one that Mantine's color scheme manager writes.
(function () {
  var chosen = null;
  try {
    chosen = localStorage.getItem("hookstream.scheme");
  } catch {
    // Storage is off: the system decides.
  }
  var isDark =
    chosen === "dark" || (chosen !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.setAttribute("data-mantine-color-scheme", isDark ? "dark" : "light");
})();
