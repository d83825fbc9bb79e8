"""What schemathesis needs to know of this API (scripts/test-api): something of everything that can be named in a path,
so that requests meet what is there as well as what is not.

The resources are made through the API when this is loaded. A path parameter is then, by chance that its own generated
value decides, so that a seed repeats it: one of those ids, an id of nothing, or what was generated. What stands in front
of a parameter in the path says what it is the id of, so a new operation needs nothing here unless it names a new kind.
"""

import itertools
import json
import os
import time
import urllib.error
import urllib.request
import zlib

import schemathesis

URL = os.environ["HOOKSTREAM_TEST_URL"]
KEY = os.environ["HOOKSTREAM_TEST_KEY"]
NOBODYS = "0123456789abcdef0123456789abcdef"
number = itertools.count()


def call(method, path, body=None):
    """A request as the owner; what is answered has to be good."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"x-api-key": KEY, "content-type": "application/json"}
    request = urllib.request.Request(URL + "/v1" + path, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def is_there(path):
    try:
        return call("GET", path).get("api_key", {}).get("revoked", 0) == 0
    except urllib.error.HTTPError:
        return False


def application():
    return call("POST", "/applications", {"name": "Seed", "uid": f"seed-{next(number)}"})["application"]["id"]


def endpoint():
    # Nobody listens there: each try fails, so that there are failed attempts, holds and lines to show.
    return call("POST", f"/applications/{ids['applications'][0]}/endpoints", {"url": "http://127.0.0.1:9/"})["endpoint"]["id"]


def message():
    body = {"event_type": "seed.sent", "payload": {"number": next(number)}}
    for _ in range(100):
        try:
            return call("POST", f"/applications/{ids['applications'][0]}/messages", body)["message"]["id"]
        except urllib.error.HTTPError as error:
            # The engine goes by the budget that was until it has counted anew.
            if error.code != 429:
                raise
            time.sleep(0.1)
    raise TimeoutError("no message is taken: the environment stays over its budget")


def event_type():
    return call("POST", "/event-types", {"name": f"seed.made{next(number)}"})["event_type"]["id"]


def api_key():
    return call("POST", "/auth/api-keys", {"name": "seed", "scopes": "messages:read"})["id"]


def environment():
    return call("POST", "/environments", {"name": "Seed", "slug": f"seed-{next(number)}"})["environment"]["id"]


def job():
    body = {"since": f"2020-01-01T00:00:{next(number) % 60:02}Z"}
    path = f"/applications/{ids['applications'][0]}/endpoints/{ids['endpoints'][0]}/replay"
    return call("POST", path, body)["job"]["id"]


# How one of a kind is made anew, where an operation takes it away.
MAKE = {
    "applications": application,
    "endpoints": endpoint,
    "event-types": event_type,
    "api-keys": api_key,
    "environments": environment,
}

ids = {}


def seed():
    """Makes one or two of everything, in an application of their own."""
    # The first is the key's own, and stays.
    ids["environments"] = [one["id"] for one in call("GET", "/environments")["environments"]][:1]
    # A budget that a request has set leaves no room for messages.
    call("PATCH", f"/environments/{ids['environments'][0]}", {"max_payload_bytes": None})
    ids["applications"] = [application()]
    ids["endpoints"] = [endpoint(), endpoint()]
    ids["messages"] = [message(), message()]
    ids["event-types"] = [event_type()]
    ids["api-keys"] = [api_key()]
    # Many that requests have begun may still run; then there is the one of the last time.
    if "jobs" not in ids:
        ids["jobs"] = [job()]


@schemathesis.auth(refresh_interval=None).apply_to(path_regex="^/v1/portal/")
class PortalToken:
    """A customer's token, for what takes nothing else."""

    def get(self, case, context):
        try:
            return call("POST", f"/applications/{ids['applications'][0]}/portal-access")["token"]
        except urllib.error.HTTPError:
            # A request has disabled the application: then no token is good.
            return "none"

    def set(self, case, data, context):
        case.headers = case.headers or {}
        case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.hook
def before_call(context, case, kwargs):
    """Puts ids of what is there into the path."""
    parts = case.operation.path.split("/")
    # What is taken away is made for it; a key that is rotated goes with time.
    taken = {"DELETE": parts[-1]}.get(case.operation.method.upper(), parts[-2] if parts[-1] == "rotate" else None)
    for kind, part in zip(parts, parts[1:]):
        name = part.strip("{}")
        if part == name or kind not in ids or name not in (case.path_parameters or {}):
            continue
        choice = zlib.crc32(f"{name}={case.path_parameters[name]!r}".encode()) % 8
        if choice == 6:
            case.path_parameters[name] = NOBODYS
        elif choice < 6:
            case.path_parameters[name] = MAKE[kind]() if part == taken else ids[kind][choice % len(ids[kind])]
        elif part == taken and case.path_parameters[name] in ids[kind]:
            # A list has told the id; with its own environment the key would go.
            case.path_parameters[name] = MAKE[kind]()


@schemathesis.hook
def after_call(context, case, response):
    """Makes everything anew where a request that knew an id has taken something away."""
    if case.operation.method.upper() == "DELETE" and response.status_code == 200:
        kept = [f"/applications/{ids['applications'][0]}/endpoints/{one}" for one in ids["endpoints"]]
        kept += [f"/event-types/{one}" for one in ids["event-types"]] + [f"/auth/api-keys/{one}" for one in ids["api-keys"]]
        if not all(is_there(path) for path in kept):
            seed()


seed()
