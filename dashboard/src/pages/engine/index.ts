export { Jobs } from "./Jobs";
export { Nodes } from "./Nodes";
export { Queues } from "./Queues";
