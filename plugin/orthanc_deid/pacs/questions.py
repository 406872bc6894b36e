"""Questions to an archive, level by level: the same by C-FIND and by QIDO-RS."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from ..errors import Rejected
from . import uids
from .attributes import ATTRIBUTES, LEVELS, MORE, PLAIN, UNIQUE
from .base import Found, Instance, Level, Wanted
from .matching import Answer, is_universal, narrows, selected, sendable

Keys = Mapping[str, str]
# Ask at a level: keys with a value to match, and empty ones to be told.
Ask = Callable[[Level, Keys], list[Answer]]

UNBOUNDED = ("ModalitiesInStudy", "StudyTime", "PatientSex")  # alone they ask for half of the archive
# What the per-series dump of a study tells beside the rest; few archives keep it at this level.
DUMPED = ("ImageType", "AcquisitionDate")


class UnansweredError(Rejected):
    """The archive refuses a question of this form or at this level."""


class Questions:
    """What an archive holds, asked by one function that does not know of levels."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def find(self, wanted: Wanted) -> list[Found]:
        """Answer as `Archive.find`."""
        keys = _split(wanted)
        if wanted.level == "study":
            return [_study(answer) for answer in self._studies(keys["study"])]
        found = self._series_of(keys)
        if wanted.level == "instance" and keys["instance"]:
            found = self._with_instances(found, keys["instance"])
        return [_series(answer) for answer in found]

    def series(self, study_uid: str) -> list[Found]:
        """Answer as `Archive.series`."""
        uids.demand(study_uid)
        studies = self._studies({UNIQUE["study"]: study_uid})
        keys = {UNIQUE["study"]: study_uid} | dict.fromkeys(DUMPED, "")
        return [_series({**study, **answer}) for study in studies for answer in self._told("series", keys)]

    def instances(self, study_uid: str, series_uid: str = "") -> list[Instance] | None:
        """Answer as `Archive.instances`."""
        uids.demand(study_uid, series_uid)
        every = [series_uid] if series_uid else [found.series_uid for found in self._series_uids(study_uid)]
        found: list[Instance] = []
        for uid in every:
            here = self._instances_of(study_uid, uid)
            if not here:  # a series has instances: it does not answer at this level, but does not say so
                return None
            found += here
        return found or None

    def count(self, study_uid: str) -> int | None:
        """Answer as `Archive.count`."""
        uids.demand(study_uid)
        studies = [_study(answer) for answer in self._studies({UNIQUE["study"]: study_uid})]
        if not studies or studies[0].instances is not None:
            return studies[0].instances if studies else None
        series = self._series_uids(study_uid)
        numbers = [each.instances for each in series if each.instances is not None]
        if series and len(numbers) == len(series):
            return sum(numbers)
        here = self.instances(study_uid)
        return len(here) if here else None

    def _series_uids(self, study_uid: str) -> list[Found]:
        return [_series(answer) for answer in self._told("series", {UNIQUE["study"]: study_uid})]

    def _instances_of(self, study_uid: str, series_uid: str) -> list[Instance]:
        try:
            answers = self._told("instance", {UNIQUE["study"]: study_uid, UNIQUE["series"]: series_uid})
        except UnansweredError:
            return []
        return [Instance(study_uid, series_uid, answer[UNIQUE["instance"]]) for answer in answers]

    def _studies(self, keys: Keys, hints: Keys | None = None) -> list[Answer]:
        """Return the studies that match; by `hints` the archive may leave some out, but need not tell them."""
        if not any(narrows(k, v) for k, v in keys.items() if k not in UNBOUNDED):
            raise Rejected(
                "this would ask for the whole archive: give at least a patient, a study or days of ten years at most,"
                " and two characters beside wildcards"
            )
        return selected(self._told("study", {**(hints or {}), **keys}), keys)

    def _series_of(self, keys: Mapping[Level, Keys]) -> list[Answer]:
        """Return the series that match, each with what is known of its study."""
        above, own = keys["study"], keys["series"]
        if list(above) == [UNIQUE["study"]] and not is_universal(above[UNIQUE["study"]]):
            studies: Iterable[Answer] = [{UNIQUE["study"]: uid} for uid in _each(above[UNIQUE["study"]])]
        elif not above and not is_universal(own.get(UNIQUE["series"], "")):
            return selected(self._told("series", {UNIQUE["study"]: "", **own}), own)
        else:
            studies = self._studies(above, {"ModalitiesInStudy": own.get("Modality", "")})
        told = [{**s, **a} for s in studies for a in self._told("series", {UNIQUE["study"]: s[UNIQUE["study"]], **own})]
        return selected(told, own)

    def _with_instances(self, series: Iterable[Answer], keys: Keys) -> list[Answer]:
        """Return the series of which at least one instance matches."""
        told: list[tuple[Answer, Answer]] = []
        for each in series:
            above = {UNIQUE[level]: each[UNIQUE[level]] for level in LEVELS[:2]}
            told += [(each, answer) for answer in self._told("instance", {**above, **keys})]
        chosen = {id(answer) for answer in selected([answer for _, answer in told], keys)}
        found = {each[UNIQUE["series"]]: {**answer, **each} for each, answer in told if id(answer) in chosen}
        return list(found.values())

    def _told(self, level: Level, keys: Keys) -> list[Answer]:
        """Ask; where all attributes are too many for the archive, for the plain ones; each UID comes once."""
        asked = {keyword: sendable(keyword, value) for keyword, value in keys.items()}
        plain = dict.fromkeys(PLAIN[level], "") | asked
        least = {keyword: value for keyword, value in plain.items() if value or keyword not in DUMPED}
        try:
            answers = self._ask(level, dict.fromkeys(MORE[level], "") | plain)
        except UnansweredError:
            if not MORE[level]:
                raise
            answers = self._ask(level, least)
        return list(_once(level, answers, asked))


def _split(wanted: Wanted) -> dict[Level, dict[str, str]]:
    """Return the keys of each level.

    Raises
    ------
    Rejected
        A key is not known, or stands below the level that is asked for.
    """
    keys: dict[Level, dict[str, str]] = {level: {} for level in LEVELS}
    for given, value in wanted.attributes.items():
        if not value.strip():
            continue
        keyword = "ModalitiesInStudy" if given == "Modality" and wanted.level == "study" else given
        if keyword not in ATTRIBUTES:
            raise Rejected("an attribute in the question is none that an archive is asked for")
        if LEVELS.index(ATTRIBUTES[keyword].level) > LEVELS.index(wanted.level):
            raise Rejected(f"{keyword} is no attribute of a {wanted.level}: ask at a lower level")
        keys[ATTRIBUTES[keyword].level][keyword] = value
    return keys


def _each(value: str) -> Sequence[str]:
    return list(dict.fromkeys(uid.strip() for uid in value.split("\\") if uid.strip()))


def _once(level: Level, answers: Iterable[Answer], asked: Keys) -> Iterator[Answer]:
    """Yield what an archive answers, each UID once, and nothing of another study or series than was asked for."""
    seen: set[str] = set()
    above = {UNIQUE[each]: _each(asked.get(UNIQUE[each], "")) for each in LEVELS[: LEVELS.index(level)]}
    for raw in answers:
        # An answer need not repeat the UIDs of the levels above.
        answer = {**{keyword: uids[0] for keyword, uids in above.items() if len(uids) == 1}, **_stripped(raw)}
        untold = [k for k in (*above, UNIQUE[level]) if not answer.get(k)]
        if untold:
            raise Rejected(f"the archive answers without {untold[0]}")
        uid = answer[UNIQUE[level]]
        if uid not in seen and all(answer[k] in uids for k, uids in above.items() if uids):
            seen.add(uid)
            yield answer


def _stripped(answer: Answer) -> dict[str, str]:
    values = {keyword: value.strip(" \0") for keyword, value in answer.items()}
    return {keyword: value for keyword, value in values.items() if value}


def _study(answer: Answer) -> Found:
    return Found(
        answer[UNIQUE["study"]],
        "",
        answer.get("PatientID", ""),
        _count(answer, "NumberOfStudyRelatedSeries"),
        _count(answer, "NumberOfStudyRelatedInstances"),
        answer,
    )


def _series(answer: Answer) -> Found:
    return Found(
        answer[UNIQUE["study"]],
        answer[UNIQUE["series"]],
        answer.get("PatientID", ""),
        None,
        _count(answer, "NumberOfSeriesRelatedInstances"),
        answer,
    )


def _count(answer: Answer, keyword: str) -> int | None:
    """Return a number; None for 0 too: some archives say so where they do not count, and no study is empty."""
    text = answer.get(keyword, "")
    return int(text) or None if text.isascii() and text.isdigit() else None
