export { OperationalEndpointPage } from "./OperationalEndpointPage";
export { OperationalMessagePage } from "./OperationalMessagePage";
export { OperationalWebhooks } from "./OperationalWebhooks";
