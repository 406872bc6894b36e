"""A PACS: asked by C-FIND, and by C-MOVE or C-GET to send, all through our Orthanc."""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from ..destinations.dicom import dimse
from ..destinations.dicom.dimse import Refusal
from ..destinations.dicom.modality import Modality, Query, RefusedError
from ..errors import ConfigurationError, DeidError, Rejected, Retriable
from ..orthanc_rest import Orthanc
from ..settings.sources import PacsSource
from . import jobs, refusals, uids
from .association import lasting_rejection
from .attributes import UNIQUE
from .base import Found, Instance, Level
from .matching import Answer
from .questions import Questions

LEVELS = {"study": "Study", "series": "Series", "instance": "Instance"}
METHODS = {"move": "C-MOVE", "get": "C-GET"}
NOBODY = "2.25.1"  # a StudyInstanceUID that no study has
AT_ONCE = 50  # instances in one question and one job
ANSWERS_S = 600  # all answers to one question, over timeout_s
STUCK_S = 3600  # over timeout_s; Orthanc itself gives up where the archive is silent for timeout_s


class PacsArchive(Questions):
    """A DICOM node, registered in our Orthanc; `going` is called while it is waited, and raises to end that."""

    def __init__(self, settings: PacsSource, orthanc: Orthanc, going: Callable[[], object]) -> None:
        self._settings = settings
        self._orthanc = orthanc
        self._going = going
        # Another prefix than of destinations: one of the same name may be another node.
        self._node = Modality(_patient(orthanc, settings.timeout_s), f"from-{settings.name}", settings)
        super().__init__(self._ask_archive)
        self._method = METHODS[settings.retrieve]

    def check(self) -> str:
        """C-ECHO, a C-FIND of a study that nobody has, and whether our Orthanc can retrieve as the settings say."""
        self._node.register()
        self._demand_method()
        self._echo()
        self._ask_archive("study", {UNIQUE["study"]: NOBODY})
        return "answers C-ECHO and C-FIND"

    def _echo(self) -> None:
        try:
            self._node.echo()
        except Retriable as error:
            away = error
        else:
            return
        self._demand_accepted()
        raise away

    def retrieve(self, found: Found, instances: Sequence[Instance] = (), target: str = "") -> None:
        """Have it send a study, a series or instances, by jobs of our Orthanc; ask for each thing once.

        Raises
        ------
        ConfigurationError
            C-GET is wanted and this Orthanc has none, or it should bring what is found to another AE title.
        """
        uids.demand(found.study_uid, found.series_uid, *(uid for i in instances for uid in (i.series_uid, i.sop_uid)))
        self._node.register()
        self._demand_method()
        if target and self._method == "C-GET":
            raise ConfigurationError("C-GET brings to this Orthanc only: set retrieve to move")
        goal = target or self._settings.move_to or str(self._orthanc.system()["DicomAet"])
        if instances:
            for level, keys in _pieces(instances):
                self._fetch(level, keys, goal)
        elif found.series_uid:
            self._fetch("series", {UNIQUE["study"]: found.study_uid, UNIQUE["series"]: found.series_uid}, goal)
        else:
            self._fetch("study", {UNIQUE["study"]: found.study_uid}, goal)

    # C-FIND.

    def _ask_archive(self, level: Level, keys: Mapping[str, str]) -> list[Answer]:
        with self._asked(level, keys) as query:
            return [_texts(answer) for answer in query.answers]

    @contextmanager
    def _asked(self, level: Level, keys: Mapping[str, str]) -> Iterator[Query]:
        self._going()
        self._node.register()
        self._demand_sendable(keys)
        with ExitStack() as stack:
            refusal = None
            try:
                query = stack.enter_context(self._node.query(LEVELS[level], keys))
            except RefusedError as error:
                refusal = error.refusal
            if refusal:
                raise self._reason(refusal, "C-FIND")
            yield query

    def _reason(self, refusal: Refusal, doing: str) -> DeidError:
        if refusal.words == dimse.REJECTION:
            self._demand_accepted()
        return refusals.exception(refusal, doing)

    def _demand_sendable(self, keys: Mapping[str, str]) -> None:
        """Raise Rejected where our Orthanc would leave letters out of the question and of its answers."""
        text = "".join(keys.values())
        if text.isascii():
            return
        encoding = self._orthanc.call("GET", "/tools/default-encoding").decode("ascii", "replace").strip()
        if encoding == "Ascii" or (encoding == "Latin1" and not _is_latin(text)):
            raise Rejected(f'DefaultEncoding of this Orthanc is {encoding}: set it to "Utf8" to ask with such letters')

    def _demand_accepted(self) -> None:
        """Raise Rejected where it rejects every association with us until a person acts."""
        calling = self._settings.local_ae or str(self._orthanc.system()["DicomAet"])
        words = lasting_rejection(self._settings, calling)
        if words:
            raise Rejected(f"the archive rejects the association: {words}")

    # C-MOVE and C-GET.

    def _demand_method(self) -> None:
        if self._method == "C-GET" and "get" not in self._node.operations():
            raise ConfigurationError(
                "retrieve: this Orthanc has no C-GET: Orthanc 1.12.7 or later is needed, or set retrieve to move"
            )

    def _fetch(self, level: Level, keys: Mapping[str, str], goal: str) -> None:
        """Have one study, one series or some instances of a series sent, and wait for the end of it."""
        wanted = set(keys[UNIQUE[level]].split("\\"))
        before = jobs.under_way(self._orthanc, self._settings.ae, goal, level, wanted)
        if before:
            self._await(before, goal)
            return
        with self._asked(level, keys) as query:
            positions = _positions(query.answers, wanted, UNIQUE[level])
            if not positions:
                raise Rejected(f"the archive does not find the {level} that it has told of")
            whole = positions == list(range(len(query.answers)))
            for path in [query.path] if whole else [f"{query.path}/answers/{number}" for number in positions]:
                self._await(self._begin(path, goal), goal)

    def _begin(self, path: str, goal: str) -> str:
        body = {"TargetAet": goal, "RetrieveMethod": self._method, "Synchronous": False}
        return str(self._orthanc.post(f"{path}/retrieve", body)["ID"])

    def _await(self, job: str, goal: str) -> None:
        here = goal == self._orthanc.system()["DicomAet"]
        stuck_s = self._settings.timeout_s + STUCK_S if here else math.inf
        state = jobs.ended(self._orthanc, job, self._going, stuck_s)
        if state["State"] == "Failure":
            raise self._reason(dimse.of_details(str(state.get("ErrorDetails", ""))), self._method)


def _patient(orthanc: Orthanc, silence_s: float) -> Orthanc:
    """Return a client that waits while our Orthanc waits for the archive."""
    return Orthanc(replace(orthanc.address, timeout_s=max(orthanc.address.timeout_s, silence_s + ANSWERS_S)))


def _pieces(instances: Sequence[Instance]) -> Iterator[tuple[Level, dict[str, str]]]:
    """Yield questions for instances: of one series, and not too many at once."""
    by_series: dict[tuple[str, str], list[str]] = {}
    for instance in instances:
        by_series.setdefault((instance.study_uid, instance.series_uid), []).append(instance.sop_uid)
    for (study, series), named in by_series.items():
        ours = list(dict.fromkeys(named))
        for first in range(0, len(ours), AT_ONCE):
            some = "\\".join(ours[first : first + AT_ONCE])
            yield "instance", {UNIQUE["study"]: study, UNIQUE["series"]: series, UNIQUE["instance"]: some}


def _positions(answers: Sequence[Mapping[str, Any]], wanted: Collection[str], keyword: str) -> list[int]:
    """Return where each wanted UID stands first: an archive may answer twice, or what nobody asked for."""
    first: dict[str, int] = {}
    for number, answer in enumerate(answers):
        uid = _texts(answer).get(keyword, "").strip(" \0")
        if uid in wanted:
            first.setdefault(uid, number)
    return sorted(first.values())


def _is_latin(text: str) -> bool:
    try:
        return bool(text.encode("latin-1"))
    except UnicodeEncodeError:
        return False


def _texts(answer: Mapping[str, Any]) -> dict[str, str]:
    return {keyword: value for keyword, value in answer.items() if isinstance(value, str)}
