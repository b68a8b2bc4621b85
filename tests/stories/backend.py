"""A merchant's backend that approves everything: `python backend.py FOLDER PORT`, with the page's code in FOLDER."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module

sys.path.insert(0, sys.argv[1])
forwarder = import_module("forwarder")


class Backend(BaseHTTPRequestHandler):
    """Answers AssetPay."""

    def do_POST(self) -> None:
        """An approval or news."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        trade = json.loads(body)["trade"]
        is_approval = trade["type"] == "withdraw" and trade["status"] == "initiated"
        forwarder.pass_copy(body, self.headers["X-AssetPay-Signature"], is_approval=is_approval)
        answer = b'{"action":"approve"}' if is_approval else b""
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        """What counts in the log is what the forwarder says."""


server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Backend)
sys.stdout.write(f"{server.server_port}\n")
sys.stdout.flush()
server.serve_forever()
