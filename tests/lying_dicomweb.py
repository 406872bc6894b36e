"""A DICOMweb server in this process that answers QIDO-RS and WADO-RS from datasets, and misbehaves as it is told."""

import fnmatch
import io
import json
import re
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset

from certificates import Pair

UIDS = {"studies": "StudyInstanceUID", "series": "SeriesInstanceUID", "instances": "SOPInstanceUID"}
ABOVE = {"studies": (), "series": ("studies",), "instances": ("studies", "series")}
PATH = re.compile(r"/dicom-web(?:/studies/(?P<studies>[0-9.]+))?(?:/series/(?P<series>[0-9.]+))?(?:/(?P<what>[a-z]+))?")


@dataclass
class WebLies:
    """How the server misbehaves; can be changed while it runs."""

    page: int = 1000  # most items in one answer
    paging: bool = True  # heeds limit and offset
    nothing: int = 200  # code where nothing is found
    no_filters: bool = False
    counts: bool = True  # tells numbers of instances
    any_syntax: bool = True  # takes transfer-syntax=*
    code: int = 0  # of every answer
    cut: bool = False  # ends an answer of WADO-RS in the middle
    single: bool = False  # answers WADO-RS with one file
    junk: bool = False  # one part is no DICOM
    piece: int = 1 << 20  # bytes that it sends at once
    preamble: bytes = b""  # before the first boundary
    sleep_s: float = 0


@dataclass
class LyingDicomweb:
    """Holds `datasets`; `url` is its root, `requests` what it was asked."""

    datasets: Sequence[Dataset]
    pair: Pair | None = None  # for https
    trusts: Path | None = None  # the authority that must have signed a client's certificate
    login: str = ""  # the only accepted Authorization
    lies: WebLies = field(default_factory=WebLies)
    requests: list[str] = field(default_factory=list)
    _server: Any = None

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"stub": self}))
        self._server.daemon_threads = True
        if self.pair:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.pair.certificate, self.pair.key)
            if self.trusts:
                context.load_verify_locations(self.trusts)
                context.verify_mode = ssl.CERT_REQUIRED
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._server.handle_error = lambda *_: None  # a client that hangs up is what tests want
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Its DICOMweb root."""
        return f"http{'s' if self.pair else ''}://127.0.0.1:{self._server.server_port}/dicom-web/"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stub: LyingDicomweb

    def log_message(self, *arguments: object) -> None:
        """Write nothing to the terminal."""

    def do_GET(self) -> None:
        self.stub.requests.append(self.path)
        lies = self.stub.lies
        time.sleep(lies.sleep_s)
        if self.stub.login and self.headers.get("Authorization") != self.stub.login:
            self._answer(401)
        elif lies.code:
            self._answer(lies.code)
        else:
            self._found()

    def _found(self) -> None:
        parts = urlsplit(self.path)
        last = parts.path.split("/")[-1]
        some = [ds for ds in self.stub.datasets if self._is_below(parts.path, ds)]
        if last in UIDS:
            self._search(last, some, {name: values[0] for name, values in parse_qs(parts.query).items()})
        elif "transfer-syntax=*" in self.headers["Accept"] and not self.stub.lies.any_syntax:
            self._answer(406)
        else:
            self._retrieve(some)

    def _is_below(self, path: str, ds: Dataset) -> bool:
        named = re.findall(r"(studies|series|instances)/([0-9.]+)", path)
        return all(str(ds[UIDS[level]].value) == uid for level, uid in named)

    def _search(self, level: str, some: Sequence[Dataset], query: dict[str, str]) -> None:
        told = query.pop("includefield", "").split(",")
        limit, offset = int(query.pop("limit", "1000")), int(query.pop("offset", "0"))
        if not self.stub.lies.no_filters:
            some = [ds for ds in some if all(_matches(ds, keyword, value) for keyword, value in query.items())]
        items = list({str(ds[UIDS[level]].value): self._item(ds, told) for ds in some}.values())
        if self.stub.lies.paging:
            items = items[offset : offset + min(limit, self.stub.lies.page)]
        nothing = self.stub.lies.nothing
        self._answer(200 if items else nothing, json.dumps(items).encode() if items or nothing == 200 else b"")

    def _item(self, ds: Dataset, told: Sequence[str]) -> dict[str, Any]:
        keywords = [keyword_for_tag(tag) for tag in told if tag] + list(UIDS.values())
        found = {k: v for k, v in ds.to_json_dict().items() if keyword_for_tag(k) in keywords}
        same = [d for d in self.stub.datasets if d.StudyInstanceUID == ds.StudyInstanceUID]
        series = [d for d in same if d.SeriesInstanceUID == ds.SeriesInstanceUID]
        counts = {"00201206": len({d.SeriesInstanceUID for d in same}), "00201208": len(same), "00201209": len(series)}
        numbers = {tag: {"vr": "IS", "Value": [n]} for tag, n in counts.items()} if self.stub.lies.counts else {}
        return found | numbers | {"00080061": {"vr": "CS", "Value": sorted({d.Modality for d in same})}}

    def _retrieve(self, some: Sequence[Dataset]) -> None:
        if self.stub.lies.single:
            self._answer(200, _file(some[0]), "application/dicom")
            return
        body = self.stub.lies.preamble + b"".join(self._parts(some)) + b"--limit--\r\nan epilogue"
        if self.stub.lies.cut:
            body = body[: len(body) // 2]
        self._answer(200, body, 'multipart/related; type="application/dicom"; boundary=limit')

    def _parts(self, some: Sequence[Dataset]) -> Iterator[bytes]:
        files = [*([b"no DICOM"] if self.stub.lies.junk else []), *map(_file, some)]
        for number, file in enumerate(files):
            headers = b"Content-Type: application/dicom\r\n\r\n" if number % 2 == 0 else b"\r\n"  # none are needed
            yield b"--limit\r\n" + headers + file + b"\r\n"

    def _answer(self, code: int, body: bytes = b"", content_type: str = "application/dicom+json") -> None:
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        if code != 204:  # no content
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        for first in range(0, len(body), self.stub.lies.piece):
            self.wfile.write(body[first : first + self.stub.lies.piece])


def _matches(ds: Dataset, keyword: str, wanted: str) -> bool:
    if keyword == "ModalitiesInStudy":
        keyword = "Modality"
    value = ds.get(tag_for_keyword(keyword) or keyword)
    values = [] if value is None else value.value if value.VM > 1 else [value.value]
    return any(fnmatch.fnmatch(str(each), one) for each in values for one in wanted.split(","))


def _file(ds: Dataset) -> bytes:
    stream = io.BytesIO()
    ds.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
