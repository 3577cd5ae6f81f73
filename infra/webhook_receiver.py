"""Receives webhooks on a port of this machine and prints them: for trying, not for production.

    python3 infra/webhook_receiver.py PORT

Prints the webhook headers and the body of each request, and answers 204.
"""

import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        for name, value in self.headers.items():
            if name.lower().startswith(("webhook-", "x-")):
                print(f"{name}: {value}")
        print(body, flush=True)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        """Prints nothing but the webhooks."""


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    HTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
