export { Messages } from "./Messages";
