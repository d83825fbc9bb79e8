export { Endpoints } from "./Endpoints";
