"""A mail server for the tests: aiosmtpd's, at a free port of 127.0.0.1.

    test_smtp.py OPTIONS

OPTIONS is a JSON object:

    certificate, key   PEM files, for TLS
    implicit           true: TLS from the beginning; otherwise STARTTLS is offered, and demanded before anything else
    user, password     whom to take mail from; without them from anybody
    refuse             what is answered to a recipient, such as "550 no such mailbox"
    refuse_first       how many mails are answered "451 come again" before one is taken
    slow               seconds before the greeting

It prints its port, then each mail as a line of JSON: from, to, data. It serves until it is killed.
"""

import asyncio
import json
import logging
import ssl
import sys
import warnings

from aiosmtpd.smtp import SMTP, AuthResult

# A password without TLS is what some tests are about.
warnings.simplefilter("ignore")
logging.disable(logging.WARNING)
options = json.loads(sys.argv[1])
left = options.get("refuse_first", 0)


class Box:
    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        if "refuse" in options:
            return options["refuse"]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        global left
        if left > 0:
            left -= 1
            return "451 come again"
        mail = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "data": envelope.content.decode("utf-8"),
            "encrypted": session.ssl is not None or options.get("implicit", False),
            "user": session.auth_data.login.decode() if session.authenticated else None,
        }
        print(json.dumps(mail), flush=True)
        return "250 taken"


class SlowSMTP(SMTP):
    async def _handle_client(self):
        await asyncio.sleep(options.get("slow", 0))
        await super()._handle_client()


def authenticate(server, session, envelope, mechanism, data):
    is_right = data.login.decode() == options["user"] and data.password.decode() == options["password"]
    # What is not handled is answered 535.
    return AuthResult(success=is_right, handled=is_right, auth_data=data)


def context():
    if "certificate" not in options:
        return None
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.load_cert_chain(options["certificate"], options["key"])
    return made


def connection():
    tls = context()
    is_implicit = options.get("implicit", False)
    wants = "user" in options
    return SlowSMTP(
        Box(),
        hostname="mail.test",
        ident="test",
        enable_SMTPUTF8=True,
        tls_context=None if is_implicit else tls,
        require_starttls=tls is not None and not is_implicit,
        auth_required=wants,
        auth_require_tls=False,
        authenticator=authenticate if wants else None,
    )


async def main():
    tls = context() if options.get("implicit", False) else None
    listener = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", 0, ssl=tls)
    print(listener.sockets[0].getsockname()[1], flush=True)
    await listener.serve_forever()


asyncio.run(main())
