"""Partners that speak DICOM: DCMTK's dcmqrscp and storescp as processes, and one in this process that misbehaves."""

import os
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydicom.dataset import Dataset
from pynetdicom import AE, StoragePresentationContexts, _config, build_role, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at import
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)
from pynetdicom.transport import ThreadedAssociationServer

from servers import free_port, wait_for

_config.LOG_REQUEST_IDENTIFIERS = False
_config.LOG_RESPONSE_IDENTIFIERS = False
LEVELS = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}
TRANSACTION_COMPLETE, TRANSACTION_FAILED = 1, 2
COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"  # the well-known SOP Instance of PS3.4 J.3.5


def listening(ae: AE, port: int, handlers: list[Any]) -> Any:  # noqa: ANN401  # pynetdicom's server has no type
    """Answer a server of pynetdicom that listens in a thread of its own."""
    # As start_server does it, but with ears for the end of it: that looks twice a second only.
    server = ae.make_server(("127.0.0.1", port), evt_handlers=handlers, server_class=ThreadedAssociationServer)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    return server


@dataclass
class Manners:
    """How the partner behaves; can be changed while it runs."""

    keeps: bool = True  # what it has accepted
    every: int = 0  # each nth instance is answered with `status`
    refuses: set[str] = field(default_factory=set)  # SOPInstanceUIDs that are answered with `status`
    status: int = 0xA700
    abort_after: int | None = None  # instances
    sleep_s: float = 0  # before each answer
    finds: bool = True  # answers C-FIND
    finds_images: bool = True  # also at IMAGE level
    most_answers: int = 1000
    counts: bool = True  # answers NumberOfStudyRelatedInstances
    commits: str = "truth"  # "truth", "never" (no report), or "refuse" (the request)


@dataclass
class DicomPeer:
    """A PACS in this process that remembers what came, in order; `manners` says how it misbehaves."""

    ae: str = "PEER"
    manners: Manners = field(default_factory=Manners)
    report_to: tuple[str, int] | None = None  # AE title and port for reports of storage commitment
    contexts: Sequence[str] | None = None  # SOP classes that it takes; None: every one
    port: int = field(default_factory=free_port)
    came: list[str] = field(default_factory=list)  # SOPInstanceUIDs in the order of their C-STORE
    held: dict[str, Dataset] = field(default_factory=dict)
    asked: list[Dataset] = field(default_factory=list)  # requests for storage commitment
    seen: list[bytes] = field(default_factory=list)  # each C-STORE's dataset as it was on the wire
    _server: Any = None
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, *, accepts: str | None = None) -> None:
        """Listen; `accepts`: the only called AE title, any other is refused."""
        ae = AE(self.ae)
        for context in StoragePresentationContexts:
            if self.contexts is None or context.abstract_syntax in self.contexts:
                ae.add_supported_context(str(context.abstract_syntax))
        for uid in (Verification, StudyRootQueryRetrieveInformationModelFind, StorageCommitmentPushModel):
            ae.add_supported_context(uid)
        if accepts:
            ae.ae_title = accepts
            ae.require_called_aet = True
        handlers: list[Any] = [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_C_FIND, self._find),
            (evt.EVT_N_ACTION, self._commit),
        ]
        self._server = listening(ae, self.port, handlers)

    def stop(self) -> None:
        """End the server and wait for what it began."""
        if self._server:
            socketserver.BaseServer.shutdown(self._server)
            self._server.server_close()
            self._server = None
        for thread in self._threads:
            thread.join(10)

    def _store(self, event: Any) -> int:  # noqa: ANN401  # pynetdicom's event has no type
        time.sleep(self.manners.sleep_s)
        data = event.request.DataSet.getvalue()
        ds = event.dataset
        self.came.append(str(ds.SOPInstanceUID))
        self.seen.append(data)
        if self.manners.abort_after is not None and len(self.came) > self.manners.abort_after:
            event.assoc.abort()
            return 0xC000
        uid = str(ds.SOPInstanceUID)
        if uid in self.manners.refuses or (self.manners.every and len(self.came) % self.manners.every == 0):
            return self.manners.status
        if self.manners.keeps:
            self.held[str(ds.SOPInstanceUID)] = ds
        return 0x0000

    def _find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:  # noqa: ANN401  # pynetdicom's event has no type
        query = event.identifier
        level = query.QueryRetrieveLevel
        if not self.manners.finds or (level == "IMAGE" and not self.manners.finds_images):
            yield 0xA900, None
            return
        found: dict[str, Dataset] = {}
        for ds in self.held.values():
            if all(_matches(query, ds, keyword) for keyword in LEVELS.values() if keyword in query):
                found.setdefault(str(ds[LEVELS[level]].value), ds)
        for ds in list(found.values())[: self.manners.most_answers]:
            yield 0xFF00, self._answer(query, ds)

    def _answer(self, query: Dataset, ds: Dataset) -> Dataset:
        answer = Dataset()
        answer.QueryRetrieveLevel = query.QueryRetrieveLevel
        for keyword in LEVELS.values():
            if keyword in query:
                setattr(answer, keyword, ds[keyword].value)
        if self.manners.counts and "NumberOfStudyRelatedInstances" in query:
            same = [d for d in self.held.values() if d.StudyInstanceUID == ds.StudyInstanceUID]
            answer.NumberOfStudyRelatedInstances = len(same)
        return answer

    def _commit(self, event: Any) -> tuple[int, None]:  # noqa: ANN401  # pynetdicom's event has no type
        if self.manners.commits == "refuse":
            return 0x0110, None
        self.asked.append(event.action_information)
        if self.manners.commits == "truth":
            thread = threading.Thread(target=self.report, args=(event.action_information,))
            self._threads.append(thread)
            thread.start()
        return 0x0000, None

    def report(self, request: Dataset) -> None:
        """Send the report of storage commitment for a request."""
        assert self.report_to
        title, port = self.report_to
        good: list[Dataset] = []
        bad: list[Dataset] = []
        for item in request.ReferencedSOPSequence:
            (good if item.ReferencedSOPInstanceUID in self.held else bad).append(item)
        for item in bad:
            item.FailureReason = 0x0112
        report = Dataset()
        report.TransactionUID = request.TransactionUID
        if good:
            report.ReferencedSOPSequence = good
        if bad:
            report.FailedSOPSequence = bad
        ae = AE(self.ae)
        ae.add_requested_context(StorageCommitmentPushModel)
        roles: list[Any] = [build_role(StorageCommitmentPushModel, scp_role=True)]
        association = ae.associate("127.0.0.1", port, ae_title=title, ext_neg=roles)
        assert association.is_established
        kind = TRANSACTION_FAILED if bad else TRANSACTION_COMPLETE
        association.send_n_event_report(report, kind, StorageCommitmentPushModel, COMMITMENT_INSTANCE)
        association.release()


def _matches(query: Dataset, ds: Dataset, keyword: str) -> bool:
    wanted = query[keyword].value
    if not wanted:
        return True
    values = [wanted] if isinstance(wanted, str) else list(wanted)
    return str(ds[keyword].value) in [str(value) for value in values]


@dataclass
class Program:
    """One program of DCMTK as a process; its output goes to a file."""

    folder: Path
    ae: str
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def run(self, *command: str) -> None:
        """Start it and wait until it listens."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=os.environ | {"TCP_NODELAY": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_for(self._listens, 10, f"{command[0]} listens")

    @property
    def log_file(self) -> Path:
        """Where its output goes."""
        return self.folder.with_suffix(".log")

    def log(self) -> str:
        """Answer all that it has written."""
        return self.log_file.read_text(errors="replace")

    def stop(self) -> None:
        """End it by its id."""
        if self.process:
            self.process.kill()
            self.process.wait(10)
            self.process = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _listens(self) -> bool:
        assert self.process
        assert self.process.poll() is None, self.log()
        return _is_listening(self.port)


def _is_listening(port: int) -> bool:
    """Look into the kernel's table: a connection to try it would show in the program's log as a failure."""
    wanted = f":{port:04X}"
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    return any(row[1].endswith(wanted) and row[3] == "0A" for row in rows)


@dataclass
class Storescp(Program):
    """DCMTK's storescp: keeps files in its folder, answers C-STORE and C-ECHO alone."""

    options: Sequence[str] = ()

    def __enter__(self) -> Self:
        self.run(
            "/usr/bin/storescp", "-v", "-aet", self.ae, "+xa", "-od", str(self.folder), *self.options, str(self.port)
        )
        return self

    def files(self) -> list[Path]:
        """Answer the files that it has stored."""
        return sorted(path for path in self.folder.iterdir() if path.is_file())


@dataclass
class Dcmqrscp(Program):
    """DCMTK's dcmqrscp: stores, answers C-FIND down to the instance, and moves to AE titles that it knows."""

    move_to: Mapping[str, int] = field(default_factory=dict)  # AE title: port on this machine

    def __enter__(self) -> Self:
        store = self.folder / self.ae
        store.mkdir(parents=True, exist_ok=True)
        configuration = self.folder / "dcmqrscp.cfg"
        hosts = "".join(f"h{n} = ({ae}, 127.0.0.1, {port})\n" for n, (ae, port) in enumerate(self.move_to.items()))
        configuration.write_text(
            f"NetworkTCPPort = {self.port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n"
            f"HostTable BEGIN\n{hosts}HostTable END\nVendorTable BEGIN\nVendorTable END\n"
            f"AETable BEGIN\n{self.ae} {store} RW (200, 1024mb) ANY\nAETable END\n"
        )
        self.run("/usr/bin/dcmqrscp", "-v", "-c", str(configuration), str(self.port))
        return self
