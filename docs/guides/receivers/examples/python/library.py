# region verify
from standardwebhooks import Webhook, WebhookVerificationError


def verify(secret: str, headers: dict[str, str], body: bytes) -> object:
    """Return the parsed payload of a request that is from the sender and recent; raise if it is not."""
    return Webhook(secret).verify(body, headers)
# endregion verify


if __name__ == "__main__":
    import os
    import sys

    names = {"webhook-id": "WEBHOOK_ID", "webhook-timestamp": "WEBHOOK_TIMESTAMP", "webhook-signature": "WEBHOOK_SIGNATURE"}
    given = {header: os.environ[name] for header, name in names.items() if name in os.environ}
    try:
        verify(os.environ["WEBHOOK_SECRET"], given, sys.stdin.buffer.read())
        print("valid")
    except WebhookVerificationError:
        print("invalid")
