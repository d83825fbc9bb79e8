# region verify
import base64
import binascii
import hashlib
import hmac
import time

TOLERANCE_S = 5 * 60


def verify(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """Return whether a request is from the sender and recent. `body` is the body as it arrived, not parsed."""
    try:
        message_id = headers["webhook-id"]
        timestamp = headers["webhook-timestamp"]
        signatures = headers["webhook-signature"]
        is_recent = abs(time.time() - int(timestamp)) <= TOLERANCE_S
    except (KeyError, ValueError):
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message_id}.{timestamp}.".encode() + body
    expected = hmac.new(key, signed, hashlib.sha256).digest()
    return is_recent and any(is_equal(signature, expected) for signature in signatures.split(" "))


def is_equal(signature: str, expected: bytes) -> bool:
    version, _, given = signature.partition(",")
    try:
        return version == "v1" and hmac.compare_digest(base64.b64decode(given), expected)
    except binascii.Error:
        return False
# endregion verify


if __name__ == "__main__":
    import os
    import sys

    names = {"webhook-id": "WEBHOOK_ID", "webhook-timestamp": "WEBHOOK_TIMESTAMP", "webhook-signature": "WEBHOOK_SIGNATURE"}
    given = {header: os.environ[name] for header, name in names.items() if name in os.environ}
    print("valid" if verify(os.environ["WEBHOOK_SECRET"], given, sys.stdin.buffer.read()) else "invalid")
