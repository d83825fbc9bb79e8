import DefaultTheme from "vitepress/theme-without-fonts";

// After the default theme, whose variables these replace.
import "virtual:tokens.css";
import "./style.css";

export default DefaultTheme;
