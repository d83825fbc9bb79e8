import DefaultTheme from "vitepress/theme-without-fonts";
import { h } from "vue";

// After the default theme, whose variables these replace.
import "virtual:tokens.css";
import "./style.css";

// Pages of the program beside this site. The theme's own navigation would put the site's base before their paths.
const ELSEWHERE = { API: "/docs", Dashboard: "/dashboard" };

const links = () => Object.entries(ELSEWHERE).map(([text, href]) => h("a", { class: "elsewhere", href, target: "_self" }, text));

export default {
  extends: DefaultTheme,
  Layout: () => h(DefaultTheme.Layout, null, { "nav-bar-content-after": links, "nav-screen-content-after": links }),
};
