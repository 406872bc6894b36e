"""A DICOMweb server, spoken to directly: QIDO-RS with paging, STOW-RS, and its log-in."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import requests
import urllib3

from ...errors import Rejected, Retriable
from ...orthanc_rest import basic, reason
from ...settings.http_auth import ClientCredentials
from ...settings.network import DicomwebServer
from ...web import oauth
from ...web.answer import retry_after_s
from ...web.session import Answer, Session, trust
from .dimse import Refusal
from .stow import Related, refusals

PAGE = 500  # instances in one answer of QIDO-RS
MOST_PAGES = 2000
MOST_BYTES = 64 << 20  # of one answer
PIECE_BYTES = 1 << 16
MOST_NAMED = 20  # UIDs in one question: they stand in the URL
SOP_INSTANCE = "00080018"
NO_CONTENT, UNAUTHORIZED, NOT_FOUND, CONFLICT = 204, 401, 404, 409
STORED = (200, 201, 202, 204, CONFLICT)  # 202: some, 409: none; the body says which
NOT_OFFERED = (400, 405, 406, 415, 501)
BUSY = (408, 425, 429, 500, 502, 503, 504, 507)


class CannotBeAskedError(Exception):
    """The server is there but does not answer QIDO-RS; the message is in our words."""


@dataclass(frozen=True)
class Opened:
    """An answer that has begun."""

    content_type: str
    pieces: Iterator[bytes]


class DicomwebClient:
    """One server; connections are made when first needed.

    Every method raises Retriable where the server is away or refuses the log-in, Rejected where it refuses, and
    ConfigurationError where a secret is missing.
    """

    def __init__(self, settings: DicomwebServer) -> None:
        self._settings = settings
        self._root = str(settings.url).rstrip("/")
        self._session = requests.Session()
        self._session.trust_env = False  # neither a .netrc nor a proxy of this machine decides where data goes

    def login(self, *, renew: bool = False) -> dict[str, str]:
        """Return the headers that log in."""
        settings = self._settings
        if settings.username:
            return {"Authorization": basic(settings.username, settings.password() or "")}
        token = self._oauth_token(settings.oauth, renew=renew) if settings.oauth else settings.token()
        return {settings.token_header: settings.token_prefix + token} if token else {}

    def check(self) -> None:
        """Ask for one study: log-in, address and QIDO-RS are right.

        Raises
        ------
        CannotBeAskedError
            It does not offer QIDO-RS.
        """
        self._qido("/studies", {"limit": "1"})

    def instances(self, study: str, wanted: Iterable[str]) -> set[str]:
        """Return which of the wanted SOPInstanceUIDs the server holds of a study.

        Raises
        ------
        CannotBeAskedError
            It does not offer QIDO-RS.
        """
        missing = set(wanted)
        found = missing & self._all(study)
        missing -= found
        # A server may bound its answers and know no paging: what it did not name is asked for by name.
        names = sorted(missing) if found else []
        for first in range(0, len(names), MOST_NAMED):
            some = ",".join(names[first : first + MOST_NAMED])
            page = self._qido(f"/studies/{study}/instances", {"SOPInstanceUID": some, "includefield": SOP_INSTANCE})
            found |= missing & _uids(page)
        return found

    def search(self, path: str, query: Mapping[str, str], unique: str) -> list[Mapping[str, Any]]:
        """Ask by QIDO-RS for everything at a path, page by page; `unique` is the tag of the UID that tells items apart.

        Raises
        ------
        CannotBeAskedError
            It does not offer QIDO-RS, or not this question.
        """
        found: dict[str, Mapping[str, Any]] = {}
        for _ in range(MOST_PAGES):
            page = self._qido(path, {**query, "limit": str(PAGE), "offset": str(len(found))})
            new = {uid: item for item in page for uid in [_uid(item, unique)] if uid not in found}
            if not new:
                break  # so that a server without paging ends it as well
            found |= new
        return list(found.values())

    @contextmanager
    def opened(self, path: str, accept: str) -> Iterator[Opened]:
        """GET something large, which is read piece by piece; reading raises Retriable where the connection ends.

        Raises
        ------
        CannotBeAskedError
            It does not offer this, or not in a form of `accept`.
        """
        response = self._open("GET", path, {"Accept": accept, **self.login()}, {})
        if response.status_code == UNAUTHORIZED and self._settings.oauth:
            response.close()
            response = self._open("GET", path, {"Accept": accept, **self.login(renew=True)}, {})
        with closing(response):
            if response.status_code in NOT_OFFERED:
                raise CannotBeAskedError(f"code {response.status_code}")
            if response.status_code not in (200, 206):
                raise self._refused(Answer(response.status_code, response.headers, b"", whole=True))
            yield Opened(response.headers.get("Content-Type", ""), _pieces(response))

    def store(self, study: str, files: Sequence[tuple[str, Path]]) -> dict[str, Refusal]:
        """Store files, each with its SOPInstanceUID, in one request; return the reason for each that was refused."""
        body = Related([file for _, file in files])
        headers = {"Content-Type": body.content_type, "Accept": "application/dicom+json"}
        answer = self._request("POST", f"/studies/{study}", headers=headers, data=body)
        if answer.status not in STORED:
            raise self._refused(answer)
        return refusals(answer.content, [uid for uid, _ in files], stored=answer.status not in (202, CONFLICT))

    def _all(self, study: str) -> set[str]:
        return _uids(self.search(f"/studies/{study}/instances", {"includefield": SOP_INSTANCE}, SOP_INSTANCE))

    def _qido(self, path: str, query: Mapping[str, str]) -> list[Mapping[str, Any]]:
        # Orthanc's plugin 1.7 takes letters for what they are: no more is encoded than RFC 3986 section 3.4 wants.
        written = urlencode(query, quote_via=quote, safe="*?,:@/")
        answer = self._request("GET", path, headers={"Accept": "application/dicom+json"}, params=written)
        if answer.status == NO_CONTENT:
            return []
        if answer.status == NOT_FOUND and path.startswith("/studies/"):
            return []  # it does not know the study
        if answer.status in NOT_OFFERED:
            raise CannotBeAskedError(f"code {answer.status}")
        if answer.status not in (200, 206):
            raise self._refused(answer)
        try:
            found = json.loads(answer.content)
        except ValueError:
            raise CannotBeAskedError("its answer is not JSON") from None
        return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []

    def _request(self, method: str, path: str, *, headers: Mapping[str, str], **more: Any) -> Answer:  # noqa: ANN401  # of requests
        answer = self._once(method, path, {**headers, **self.login()}, more)
        if answer.status == UNAUTHORIZED and self._settings.oauth:
            answer = self._once(method, path, {**headers, **self.login(renew=True)}, more)
        return answer

    def _once(self, method: str, path: str, headers: Mapping[str, str], more: Mapping[str, Any]) -> Answer:
        with closing(self._open(method, path, headers, more)) as response, _broken():
            return _read(response)

    def _open(self, method: str, path: str, headers: Mapping[str, str], more: Mapping[str, Any]) -> requests.Response:
        verify, certificate = trust(self._settings)
        with _broken():
            return self._session.request(
                method,
                self._root + path,
                headers=headers,
                timeout=(min(10, self._settings.timeout_s), self._settings.timeout_s),
                allow_redirects=False,  # data go where the settings say
                verify=verify,
                cert=certificate,
                stream=True,
                **more,
            )

    def _refused(self, answer: Answer) -> Exception:
        code = answer.status
        if code in (401, 403):
            return Retriable(f"the DICOMweb server refuses the log-in ({code})")
        if code in BUSY:
            return Retriable(f"the DICOMweb server is away or overloaded ({code})", after_s=retry_after_s(answer))
        if code in range(300, 400):
            return Rejected(f"the DICOMweb server points elsewhere ({code}): put the right root into url")
        if code == NOT_FOUND:
            return Rejected("the DICOMweb server does not know the address (404): url is not its DICOMweb root")
        return Rejected(f"the DICOMweb server refuses with code {code}")

    def _oauth_token(self, credentials: ClientCredentials, *, renew: bool) -> str:
        with closing(Session(self._settings)) as session:
            return oauth.token(credentials, session, self._settings.timeout_s, renew=renew)


@contextmanager
def _broken() -> Iterator[None]:
    """Raise Retriable, in our words, where the connection ends or none is made."""
    try:
        yield
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise Retriable(f"the DICOMweb server cannot be reached: {_reason(error)}") from None


def _pieces(response: requests.Response) -> Iterator[bytes]:
    with _broken():
        yield from response.iter_content(PIECE_BYTES)


def _read(response: requests.Response) -> Answer:
    content = bytearray()
    for piece in response.iter_content(PIECE_BYTES):
        content += piece
        if len(content) > MOST_BYTES:
            raise Rejected(f"the DICOMweb server's answer is longer than {MOST_BYTES >> 20} MiB")
    return Answer(response.status_code, response.headers, bytes(content), whole=True)


def _uids(page: Sequence[Mapping[str, Any]]) -> set[str]:
    return {str(value) for item in page for value in item.get(SOP_INSTANCE, {}).get("Value", [])}


def _uid(item: Mapping[str, Any], tag: str) -> str:
    values = item.get(tag, {}).get("Value") or [""]
    return str(values[0])


def _reason(error: BaseException) -> str:
    """Say in our words why nothing came back; the library's own text may hold a URL."""
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if "Connection refused" in str(error):
        return "connection refused"
    return reason(error)
