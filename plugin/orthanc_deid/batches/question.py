"""What a row asks for, as it stands sealed in the database."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..database.batches import BatchRow, RowStudy
from ..pacs.base import Found, Level, Wanted
from ..sealed import Seal
from .lists.table import Line

KIND = "batch study"  # of digests of what a row fetches: a study, or one series of it


@dataclass(frozen=True)
class Question:
    """One line of a list: what is wanted, and whose it is."""

    level: Level
    attributes: Mapping[str, str]
    cells: Mapping[str, str]
    project: str = ""
    pseudonym: str = ""
    album: str = ""

    @property
    def wanted(self) -> Wanted:
        """What the archive is asked."""
        return Wanted(self.level, self.attributes)


def close(seal: Seal, line: Line) -> bytes:
    """Seal a line."""
    question = Question(
        line.wanted.level, dict(line.wanted.attributes), dict(line.cells), line.project, line.pseudonym, line.album
    )
    return seal.close(asdict(question))


def question(seal: Seal, row: BatchRow) -> Question:
    """Open what a row asks for; raise ConfigurationError where the key is another one."""
    return Question(**seal.open(row.query))


def digest(seal: Seal, study_uid: str, series_uid: str = "") -> str:
    """Return what stands for a study, or for one series of it."""
    return seal.digest(KIND, f"{study_uid}\x00{series_uid}")


def close_found(seal: Seal, found: Found) -> tuple[str, bytes, int | None]:
    """Return digest, sealed answer and expected instances of what an archive has found."""
    values: dict[str, Any] = asdict(found) | {"attributes": dict(found.attributes)}
    return digest(seal, found.study_uid, found.series_uid), seal.close(values), found.instances


def found(seal: Seal, study: RowStudy) -> Found:
    """Open what an archive has answered."""
    return Found(**seal.open(study.found))
