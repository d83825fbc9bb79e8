export { EventTypePage } from "./EventTypePage";
export { EventTypes } from "./EventTypes";
