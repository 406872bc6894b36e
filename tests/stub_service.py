"""Takes the place of the service in tests of the plugin; `/deid/slow?s=N` answers after N s, `/deid/409` with 409."""

import argparse
import json
import os
import socketserver
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from orthanc_deid.supervisor import die_with_parent


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        url = urlsplit(self.path)
        if url.path == "/internal/hint":
            with Path(os.environ["ORTHANC_DEID_HOME"], "hints").open("a") as file:
                file.write("hint\n")
        last = url.path.rpartition("/")[2]
        if last == "slow":
            time.sleep(float(parse_qs(url.query)["s"][0]))
        self._send(int(last) if last.isdigit() else 200, url.query)

    def _send(self, status: int, query: str) -> None:
        right = self.headers.get("X-Deid-Secret") == os.environ["ORTHANC_DEID_SERVICE_SECRET"]
        body = {"path": self.path, "query": query, "user": self.headers.get("X-Deid-User"), "right": right}
        sent = json.dumps(body).encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815  # http.server's names


class Server(socketserver.ThreadingUnixStreamServer):
    request_queue_size = 100
    daemon_threads = True


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--socket", required=True)
    arguments, _ = parser.parse_known_args()
    die_with_parent()
    Path(arguments.socket).unlink(missing_ok=True)
    Server(arguments.socket, Handler).serve_forever()


if __name__ == "__main__":
    main()
