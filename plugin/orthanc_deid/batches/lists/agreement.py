"""Whether the pseudonyms of a list fit each other: one patient has one, and no two patients share one."""

from collections.abc import Iterator, Mapping

_ONE_PATIENT = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "AccessionNumber")
_PERSON = ("PatientName", "PatientBirthDate")

_MANY = (
    "stands in a line that can match many patients: add PatientID, AccessionNumber or StudyInstanceUID without"
    " wildcards, or PatientName as Last^First with PatientBirthDate"
)
_ITSELF = "is the PatientID itself: it would be delivered"

Who = tuple[str, ...]  # the column that says who it is, and what stands in it


class Agreement:
    """Remembers the lines of a list that name a pseudonym."""

    def __init__(self) -> None:
        self._pseudonyms: dict[Who, tuple[str, int]] = {}
        self._patients: dict[tuple[str, str], tuple[Who, int]] = {}

    def faults(self, number: int, written: Mapping[str, str], pseudonym: str) -> Iterator[tuple[str, str]]:
        """Yield a column and what is wrong with it, once for each line."""
        if not pseudonym:
            return
        who = _who(written)
        if not who:
            yield "Pseudonym", _MANY
            return
        if pseudonym.casefold() == written.get("PatientID", "").casefold():
            yield "Pseudonym", _ITSELF
            return
        first, line = self._pseudonyms.setdefault(who, (pseudonym, number))
        if first != pseudonym:
            yield (
                "Pseudonym",
                f"is another one than in line {line}, of the same {who[0]}: give it one pseudonym",
            )
            return
        if who[0] not in ("PatientID", "PatientName"):  # two studies may be of one patient
            return
        other, line = self._patients.setdefault((who[0], pseudonym), (who, number))
        if other != who:
            yield "Pseudonym", f"stands in line {line} too, where the {who[0]} is another: each patient needs its own"


def _who(written: Mapping[str, str]) -> Who:
    for column in _ONE_PATIENT:
        value = written.get(column, "")
        if value and not _is_wild(value):
            return (column, value)
    # A name without a first name is asked for by its last word: that is a family.
    name, birth = (written.get(column, "") for column in _PERSON)
    if name and birth and not _is_wild(name) and ("^" in name or "," in name):
        return ("PatientName", name, birth)
    return ()


def _is_wild(value: str) -> bool:
    return "*" in value or "?" in value
