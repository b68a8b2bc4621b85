"""Asks the web process of this machine whether it may be sent requests; ends with status 1 where it may not."""

import http.client
import os
import sys


def main():
    """GET /health/ready, by a name that the desk answers to."""
    host = os.environ.get("ALLOWED_HOSTS", "localhost").split(",")[0].strip().lstrip(".")
    web = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("PORT", "8000")), timeout=4)
    try:
        web.request("GET", "/health/ready", headers={"Host": host})
        answer = web.getresponse()
        told = answer.read(200).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        sys.stderr.write(type(error).__name__ + "\n")
        return 1
    sys.stdout.write(told + "\n")
    return 0 if answer.status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
