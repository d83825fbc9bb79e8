"""A whole receiver with Python's standard library: verifies, recognizes repetitions, stores, answers.

    WEBHOOK_SECRET=whsec_… python3 receiver.py received.db 8485
"""

import json
import os
import sqlite3
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from by_hand import verify


# region handle
def handle(database: sqlite3.Connection, webhook_id: str, event: dict) -> None:
    """Store the effect of a message once, however often it arrives."""
    # One transaction: the id and the effect are stored together, or neither is.
    with database:
        inserted = database.execute("insert into received (webhook_id) values (?) on conflict do nothing", [webhook_id])
        if inserted.rowcount == 0:
            return
        database.execute(
            "insert into invoices (id, paid) values (?, 1) on conflict (id) do update set paid = paid + 1", [event["invoice_id"]]
        )
# endregion handle


# region receive
class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        if not verify(os.environ["WEBHOOK_SECRET"], headers, body):
            return self.answer(401)
        handle(open_database(), headers["webhook-id"], json.loads(body))
        # The same answer to a repetition.
        self.answer(204)

    def answer(self, status):
        self.send_response(status)
        self.end_headers()
# endregion receive


def open_database() -> sqlite3.Connection:
    database = sqlite3.connect(sys.argv[1], timeout=10)
    database.execute("create table if not exists received (webhook_id text primary key)")
    database.execute("create table if not exists invoices (id integer primary key, paid integer not null)")
    return database


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Receiver)
    print(f"listening on {server.server_address[1]}", flush=True)
    server.serve_forever()
