export { MessagePage } from "./MessagePage";
