// #region verify
import { Webhook } from "standardwebhooks";

/** Returns the parsed payload of a request that is from the sender and recent; throws if it is not. */
export function verify(secret: string, headers: Record<string, string>, body: string): unknown {
  return new Webhook(secret).verify(body, headers);
}
// #endregion verify

import { readFileSync } from "node:fs";

const { WEBHOOK_SECRET = "", WEBHOOK_ID = "", WEBHOOK_TIMESTAMP = "", WEBHOOK_SIGNATURE = "" } = process.env;
const headers = { "webhook-id": WEBHOOK_ID, "webhook-timestamp": WEBHOOK_TIMESTAMP, "webhook-signature": WEBHOOK_SIGNATURE };
try {
  verify(WEBHOOK_SECRET, headers, readFileSync(0, "utf8"));
  console.log("valid");
} catch {
  console.log("invalid");
}
