<?php
// #region verify
const TOLERANCE_S = 5 * 60;

/** Returns whether a request is from the sender and recent. The body is the body as it arrived, not parsed. */
function verify(string $secret, array $headers, string $body): bool
{
    $id = $headers["webhook-id"] ?? "";
    $timestamp = $headers["webhook-timestamp"] ?? "";
    if ($id === "" || !ctype_digit($timestamp) || abs(time() - (int) $timestamp) > TOLERANCE_S) {
        return false;
    }
    $key = base64_decode(preg_replace("/^whsec_/", "", $secret), true);
    if ($key === false) {
        return false;
    }
    $expected = base64_encode(hash_hmac("sha256", "$id.$timestamp.$body", $key, true));
    foreach (explode(" ", $headers["webhook-signature"] ?? "") as $signature) {
        if (str_starts_with($signature, "v1,") && hash_equals($expected, substr($signature, 3))) {
            return true;
        }
    }
    return false;
}
// #endregion verify

$given = [];
foreach (["webhook-id" => "WEBHOOK_ID", "webhook-timestamp" => "WEBHOOK_TIMESTAMP", "webhook-signature" => "WEBHOOK_SIGNATURE"] as $header => $name) {
    $given[$header] = getenv($name) ?: "";
}
echo verify(getenv("WEBHOOK_SECRET"), $given, file_get_contents("php://stdin")) ? "valid\n" : "invalid\n";
