export { ApplicationPage } from "./ApplicationPage";
export { Applications } from "./Applications";
