"""A DICOMweb server: asked by QIDO-RS, retrieved from by WADO-RS into our Orthanc (PS3.18 10.4 and 10.6)."""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, BinaryIO

from ..destinations.dicom.dicomweb_client import CannotBeAskedError, DicomwebClient
from ..errors import ConfigurationError, Rejected, Retriable
from ..orthanc_rest import Orthanc
from ..settings.sources import DicomwebSource
from . import uids
from .attributes import ATTRIBUTES, UNIQUE
from .base import Found, Instance, Level
from .matching import WILD, Answer, is_universal
from .multipart import Parts, boundary
from .questions import Questions, UnansweredError

KEYWORDS = {attribute.tag: keyword for keyword, attribute in ATTRIBUTES.items()}
# As it is stored: without a transfer syntax a server may decompress (PS3.18 8.7.3.3.2).
AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
ANY_SYNTAX = 'multipart/related; type="application/dicom"'


class DicomwebArchive(Questions):
    """One server; `going` is called between two instances, and raises to end a retrieval."""

    def __init__(self, settings: DicomwebSource, orthanc: Orthanc, going: Callable[[], object]) -> None:
        self._orthanc = orthanc
        self._going = going
        self._client = DicomwebClient(settings)
        super().__init__(self._ask_archive)

    def check(self) -> str:
        """Ask for one study: address, log-in and QIDO-RS are right."""
        try:
            self._client.check()
        except CannotBeAskedError as error:
            raise Retriable(f"the DICOMweb server does not answer QIDO-RS ({error})") from None
        return "answers QIDO-RS"

    def retrieve(self, found: Found, instances: Sequence[Instance] = (), target: str = "") -> None:
        """Fetch a study, a series or instances, and store each instance in our Orthanc as it comes.

        Raises
        ------
        ConfigurationError
            It should go to another AE title than this Orthanc's: WADO-RS answers who asks.
        """
        if target and target != str(self._orthanc.system()["DicomAet"]):
            raise ConfigurationError("a DICOMweb server sends to this Orthanc only: use a source of kind pacs")
        uids.demand(found.study_uid, found.series_uid, *(uid for i in instances for uid in (i.series_uid, i.sop_uid)))
        for path in _paths(found, instances):
            self._fetch(path)

    def _ask_archive(self, level: Level, keys: Mapping[str, str]) -> list[Answer]:
        self._going()
        path, matching = _question(level, keys)
        more = {"includefield": ",".join(ATTRIBUTES[keyword].tag for keyword in keys)}
        loose = {keyword: _loose(keyword, value) for keyword, value in matching.items()}
        try:
            items = self._client.search(path, matching | more, ATTRIBUTES[UNIQUE[level]].tag)
            if not items and loose != matching:
                items = self._client.search(path, loose | more, ATTRIBUTES[UNIQUE[level]].tag)
        except CannotBeAskedError as error:
            raise UnansweredError(f"the DICOMweb server does not answer this question of QIDO-RS ({error})") from None
        return [_texts(item) for item in items]

    def _fetch(self, path: str) -> None:
        try:
            self._fetch_as(path, AS_STORED)
        except CannotBeAskedError:
            try:
                self._fetch_as(path, ANY_SYNTAX)
            except CannotBeAskedError as error:
                raise Rejected(f"the DICOMweb server does not send by WADO-RS ({error})") from None

    def _fetch_as(self, path: str, accept: str) -> None:
        with self._client.opened(path, accept) as answer:
            limit = boundary(answer.content_type)
            if limit is None:
                raise Rejected("the DICOMweb server answers WADO-RS with something else than multipart/related")
            for file in Parts(answer.pieces, limit):
                self._going()
                self._store(file)

    def _store(self, file: BinaryIO) -> None:
        """Store one instance; what our Orthanc refuses is missing afterwards, as after C-MOVE."""
        with suppress(Rejected):
            self._orthanc.offer(file)


def _paths(found: Found, instances: Sequence[Instance]) -> list[str]:
    if instances:
        return [f"/studies/{i.study_uid}/series/{i.series_uid}/instances/{i.sop_uid}" for i in instances]
    series = f"/series/{found.series_uid}" if found.series_uid else ""
    return [f"/studies/{found.study_uid}{series}"]


def _question(level: Level, keys: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return the path, which names the UIDs of the levels above where they are known, and the matching keys."""
    values = {keyword: value for keyword, value in keys.items() if value}
    path = ""
    if level != "study":
        path = f"/studies/{study}" if (study := values.pop(UNIQUE["study"], "")) else ""
    if level == "instance":
        path += f"/series/{values.pop(UNIQUE['series'])}"
    resource = {"study": "studies", "series": "series", "instance": "instances"}[level]
    # A comma in a value would part it in two: such a value is compared here alone.
    matching = {keyword: value.replace("\\", ",") for keyword, value in values.items() if "," not in value}
    return f"{path}/{resource}", matching


def _loose(keyword: str, value: str) -> str:
    """Return a value without what a URL must encode, since not every server decodes it; the answers are compared here.

    Orthanc's DICOMweb plugin 1.7 finds nothing by a value with a blank or a circumflex.
    """
    wild = re.sub(r"[^A-Za-z0-9._~*?,:@/-]+", "*", value)
    return wild if ATTRIBUTES[keyword].vr in WILD and not is_universal(wild) else value


def _texts(item: Mapping[str, Any]) -> dict[str, str]:
    """Return the attributes of the DICOM JSON model by keyword (PS3.18 F.2), several values with a backslash."""
    found: dict[str, str] = {}
    for tag, element in item.items():
        values = element.get("Value") if isinstance(element, dict) else None
        if tag.upper() in KEYWORDS and isinstance(values, list):
            found[KEYWORDS[tag.upper()]] = "\\".join(_text(value) for value in values if value is not None)
    return found


def _text(value: Any) -> str:  # noqa: ANN401  # a value of JSON
    if isinstance(value, dict):  # a name
        groups = [str(value.get(group, "")) for group in ("Alphabetic", "Ideographic", "Phonetic")]
        return "=".join(groups).rstrip("=")
    return str(value)
