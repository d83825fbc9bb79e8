export { Jobs } from "./Jobs";
export { Queues } from "./Queues";
