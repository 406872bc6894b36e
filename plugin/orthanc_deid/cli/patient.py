"""A server that may be away for a while: commands that wait for hours outlive its restart."""

import time
from collections.abc import Mapping

import click
import requests

from .server import Body, Server

PATIENCE_S = 600.0
AWAY = frozenset({502, 503, 504})
AGAIN_S = 2.0


class PatientServer(Server):
    """Asks again where no answer comes, once there was one; what changes something is asked for once only."""

    answered = False

    def _ask(
        self, method: str, path: str, query: Mapping[str, str | int | None], body: Body = None
    ) -> requests.Response:
        until = time.monotonic() + PATIENCE_S
        while True:
            patient = method == "GET" and self.answered and time.monotonic() < until
            try:
                answer = super()._ask(method, path, query, body)
            except click.ClickException:
                if not patient:
                    raise
            else:
                if answer.status_code not in AWAY or not patient:
                    self.answered = self.answered or answer.ok
                    return answer
            time.sleep(AGAIN_S)
