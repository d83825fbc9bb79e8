export { GetStarted } from "./GetStarted";
export { Overview } from "./Overview";
