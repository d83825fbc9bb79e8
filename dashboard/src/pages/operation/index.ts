export { Backups } from "./Backups";
export { Monitoring } from "./Monitoring";
