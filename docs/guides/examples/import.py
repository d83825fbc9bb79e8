#!/usr/bin/env python3
"""Import of applications and endpoints into Hookstream from lines of JSON.

    import.py endpoints.jsonl        # reads HOOKSTREAM_URL and HOOKSTREAM_API_KEY

A line is {"application": {"uid", "name"}, "endpoint": {"uid", "url", "signing_secret", …}} with the fields of the API. What exists
already, by its uid, is left as it is, so the import can be repeated.
"""

import json
import os
import sys
import urllib.error
import urllib.request


def main():
    created, existing = 0, 0
    for number, line in enumerate(open(sys.argv[1], encoding="utf-8"), 1):
        entry = json.loads(line)
        application, endpoint = entry["application"], entry["endpoint"]
        for path, body in (
            ("/v1/applications", application),
            (f"/v1/applications/{application['uid']}/endpoints", endpoint),
        ):
            status, answer = post(path, body)
            if status == 409:
                existing += 1
            elif status < 300:
                created += 1
            else:
                sys.exit(f"line {number}: {path}: {status} {answer}")
    print(f"{created} created, {existing} existed")


def post(path, body):
    request = urllib.request.Request(
        os.environ["HOOKSTREAM_URL"] + path,
        json.dumps(body).encode(),
        {"x-api-key": os.environ["HOOKSTREAM_API_KEY"], "content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read().decode()


if __name__ == "__main__":
    main()
