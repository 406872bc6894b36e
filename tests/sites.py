"""The product as a site runs it: a clinical Orthanc with the plugin and a research Orthanc as destination."""

import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from servers import MAIN, OrthancServer, wait_for

DEID = """
projects:
  - name: default
    destinations: [research]
destinations:
  - name: research
    kind: orthanc-peer
    url: {url}
    username: admin
    password_file: {password_file}
intake:
  reconcile_s: 2
limits:
  backoff_s: 1
"""
ENDS = ("failed", "quarantined", "rejected", "ignored")


class Site:
    """Two Orthancs; `clinical` holds the plugin, `research` is what studies are delivered to."""

    def __init__(
        self,
        folder: Path,
        *,
        database_url: str | None = None,
        deid: str = DEID,
        stable_age: int = 1,
        plugins: Sequence[str] = (),
    ) -> None:
        self.research = OrthancServer(folder / "research", name="RESEARCH")
        password_file = self.research.home / "admin-password"
        environment = {"ORTHANC_DEID_DATABASE_URL": database_url} if database_url else {}
        self.clinical = OrthancServer(
            folder / "clinical",
            name="CLINICAL",
            script=MAIN,
            deid=deid.format(url=self.research.url, password_file=password_file),
            configuration={"StableAge": stable_age},
            environment=environment,
            plugins=plugins,
        )

    def start(self) -> "Site":
        """Start both and wait until the service answers."""
        self.research.start()
        self.clinical.start()
        self.await_service()
        return self

    def await_service(self) -> None:
        """Wait until the service behind the plugin is up and a worker lives."""
        wait_for(self._is_ready, 60, "the service is ready")

    def _is_ready(self) -> bool:
        answer = self.clinical.get("/deid/health", timeout=10)
        return answer.ok and answer.json()["checks"]["workers"] == "ok"

    def kill(self) -> None:
        """End both at once."""
        self.clinical.kill()
        self.research.kill()

    def send(self, files: Iterable[bytes]) -> str:
        """Store files by REST and return the Orthanc id of their study."""
        answers = [self.clinical.post("/instances", data=file, timeout=30).json() for file in files]
        return str(answers[-1]["ParentStudy"])

    def study(self, source: str) -> dict[str, Any]:
        """Return what the product says of a study; {} while it does not know it."""
        answer = self.clinical.get(f"/deid/studies/{source}", timeout=30)
        return dict(answer.json()) if answer.ok else {}

    def await_status(self, source: str, *wanted: str, seconds: float = 60, version: int = 1) -> dict[str, Any]:
        """Wait until a study is in one of the states, and return it."""
        found: dict[str, Any] = {}

        def reached() -> bool:
            found.clear()
            found.update(self.study(source))
            over = found.get("status") in ENDS and found["status"] not in wanted
            assert not over, "it has ended otherwise"
            if found.get("status") == "review" and found["instances"]["received"] > sum(
                found["instances"][made] for made in ("deidentified", "quarantined")
            ):
                return False  # what came late is noted, and will be at work at once
            return found.get("status") in wanted and found["version"] >= version

        try:
            wait_for(reached, seconds)
        except AssertionError:
            raise AssertionError(f"not {wanted} in {seconds} s but {found.get('status')}: {found}") from None
        return found

    def arrived(self, output: str) -> list[str]:
        """Return the SOPInstanceUIDs that the research archive holds of a study."""
        answer = self.research.get(f"/studies/{output}/instances", timeout=30)
        return [i["MainDicomTags"]["SOPInstanceUID"] for i in answer.json()] if answer.ok else []

    def send_in_parallel(self, studies: list[list[bytes]], threads: int = 4) -> None:
        """Store many studies at once, as modalities do."""
        queue = list(studies)
        lock = threading.Lock()

        def work() -> None:
            while True:
                with lock:
                    if not queue:
                        return
                    files = queue.pop()
                self.send(files)

        workers = [threading.Thread(target=work) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(120)
