/** The user's own account: sign-in, password, second factor, sessions, invitations and devices. */
import { queryOptions } from "@tanstack/react-query";
import { answered, api, type Schemas } from "./client";

export const sessionsQuery = queryOptions({
  queryKey: ["sessions"],
  queryFn: () => answered(api.GET("/v1/auth/sessions")),
  select: (answer) => answer.sessions,
});

export const signIn = (body: Schemas["SignIn"]) => answered(api.POST("/v1/auth/sign-in", { body }));
export const setUp = (body: Schemas["SetUp"]) => answered(api.POST("/v1/auth/setup", { body }));
export const forgotPassword = (email: string) =>
  answered(api.POST("/v1/auth/password/forgot", { body: { email } }));
export const resetPassword = (body: Schemas["ResetPassword"]) =>
  answered(api.POST("/v1/auth/password/reset", { body }));
export const changePassword = (body: Schemas["ChangePassword"]) =>
  answered(api.POST("/v1/auth/password", { body }));
export const lookAtInvitation = (token: string) =>
  answered(api.POST("/v1/auth/invitations/look", { body: { token } }));
export const acceptInvitation = (body: Schemas["AcceptInvitation"]) =>
  answered(api.POST("/v1/auth/invitations/accept", { body }));
export const updateProfile = (name: string) => answered(api.PATCH("/v1/auth/profile", { body: { name } }));

export const getDevice = (userCode: string) =>
  answered(api.GET("/v1/auth/device/{userCode}", { params: { path: { userCode } } }));
export const allowDevice = (userCode: string, envId: string) =>
  answered(
    api.POST("/v1/auth/device/{userCode}/allow", { params: { path: { userCode } }, body: { env_id: envId } }),
  );
export const denyDevice = (userCode: string) =>
  answered(api.POST("/v1/auth/device/{userCode}/deny", { params: { path: { userCode } } }));

export const endSession = (id: string) =>
  answered(api.DELETE("/v1/auth/sessions/{id}", { params: { path: { id } } }));
export const endAllSessions = () => answered(api.DELETE("/v1/auth/sessions"));

export const beginSecondFactor = (password: string) =>
  answered(api.POST("/v1/auth/second-factor", { body: { password } }));
export const confirmSecondFactor = (code: string) =>
  answered(api.POST("/v1/auth/second-factor/confirm", { body: { code } }));
export const disableSecondFactor = (body: Schemas["WithPasswordAndCode"]) =>
  answered(api.POST("/v1/auth/second-factor/disable", { body }));
export const replaceRecoveryCodes = (body: Schemas["WithPasswordAndCode"]) =>
  answered(api.POST("/v1/auth/recovery-codes", { body }));

export const beginWithProvider = (provider: string, connect: boolean) =>
  answered(
    api.POST("/v1/auth/providers/{provider}/begin", { params: { path: { provider } }, body: { connect } }),
  );
export const endWithProvider = (provider: string, body: Schemas["EndWithProvider"]) =>
  answered(api.POST("/v1/auth/providers/{provider}/end", { params: { path: { provider } }, body }));
export const disconnectProvider = (provider: string) =>
  answered(api.POST("/v1/auth/providers/{provider}/disconnect", { params: { path: { provider } } }));
