export { Alerts } from "./Alerts";
