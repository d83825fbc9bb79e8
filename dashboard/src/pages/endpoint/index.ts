export { EndpointPage } from "./EndpointPage";
