export { Device } from "./Device";
export { ForgotPassword, ResetPassword } from "./Password";
export { Invitation } from "./Invitation";
export { ProviderCallback } from "./Provider";
export { SetUp } from "./SetUp";
export { SignIn } from "./SignIn";
