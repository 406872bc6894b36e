"""A worker for engine tests: each step appends a line to a file; `kill.<step>` makes it die in that step, once."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

from orthanc_deid import engine, pipeline
from orthanc_deid.engine import GO_ON, Outcome
from orthanc_deid.pipeline import EXPORT, FINISH, Job


def main(url: str, executor: str, folder: Path) -> None:
    """Take jobs until SIGTERM."""

    def perform(step: str, job: Job) -> Outcome:
        with (folder / "done").open("a") as file:
            file.write(f"{job.id} {step} {executor}\n")
        if step == "export" and (folder / "slow").exists():
            time.sleep(0.6)
            with (folder / "done").open("a") as file:
                file.write(f"{job.id} exported {executor}\n")
        trap = folder / f"kill.{step}"
        if trap.exists():
            trap.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        if step != "follow":
            return GO_ON
        then = pipeline.FLOWS[job.flow].then
        if then == EXPORT:
            return engine.follow([job.next(EXPORT, name) for name in ("a", "b")])
        if then is None:
            return engine.END
        return engine.follow([job.next(then)], 1.0 if then == FINISH else 0.0)

    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    engine.launch(url, executor, 4, perform, {"one": 1, "three": 3})
    (folder / f"ready.{executor}").touch()
    while not stopping.wait(0.2):
        time.sleep(0)
    engine.stop(5)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
