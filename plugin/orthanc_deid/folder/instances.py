"""The second pass: de-identifies chunks of instances in child processes and writes what comes out."""

import hashlib
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path

from .. import __version__
from ..confidentiality.deidentify import deidentify as deidentify_file
from ..confidentiality.identifiers import Identifiers
from ..confidentiality.profile import Profile
from ..confidentiality.pseudonyms import Patient, Pseudonyms
from ..errors import DeidError, Rejected
from ..packed import unpack
from ..packed.kinds import HEAD, Kind, kind_of, with_preamble
from . import output
from .naming import called
from .scan import Header
from .sources import Left, Why


@dataclass(frozen=True, slots=True)
class Made:
    """An output: its path in OUT, size (bytes) and SHA-256, and what a person should know of it."""

    path: str
    size: int
    sha256: str
    notes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Item:
    """One SOP Instance UID: the files that claim it, in the order of their paths, and an output of an earlier run."""

    headers: tuple[Header, ...]
    made: Made | None

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        return sum(header.source.size for header in self.headers)


@dataclass(frozen=True)
class Work:
    """A chunk of items with all that is needed for them; `known` by StudyInstanceUID, `called` by Patient.normal."""

    root: Path
    out: Path
    profile: Profile
    project_key: bytes
    items: tuple[Item, ...]
    known: Mapping[str, Identifiers]
    called: Mapping[str, Patient]


@dataclass
class Outcome:
    """What became of an item: `header` is the one of its files that `made` was made of."""

    header: Header | None = None
    made: Made | None = None
    is_new: bool = False
    duplicates: int = 0
    left: list[Left] = field(default_factory=list)


def deidentify(work: Work) -> list[Outcome]:
    """De-identify each item; one that cannot be is named with its reason and the rest goes on."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the parent ends this one
    outcomes = [_item(work, item) for item in work.items]
    output.sync({(work.out / o.made.path).parent for o in outcomes if o.made and o.is_new})
    return outcomes


def _item(work: Work, item: Item) -> Outcome:
    outcome = Outcome()
    headers = item.headers
    if item.made and output.is_there(work.out, item.made.path, item.made.size, item.made.sha256):
        outcome.header, outcome.made, headers = headers[0], item.made, headers[1:]
    for header in headers:
        try:
            _one(work, header, outcome)
        except Rejected as error:
            outcome.left.append(Left(header.source.shown, str(error), Why.QUARANTINED))
    return outcome


def _one(work: Work, header: Header, outcome: Outcome) -> None:
    data, made = _made(work, header)
    if outcome.made is None:
        output.write(work.out, made.path, data)
        outcome.header, outcome.made, outcome.is_new = header, made, True
    elif made.sha256 == outcome.made.sha256:
        outcome.duplicates += 1
    else:
        raise Rejected("another file has the same SOP Instance UID and other content")


def _made(work: Work, header: Header) -> tuple[bytes, Made]:
    known = work.known.get(header.StudyInstanceUID, Identifiers())
    pseudonyms = _pseudonyms(work.project_key)
    try:
        who = partial(called, work.called)
        data = _read(work.root, header)
        done = deidentify_file(data, work.profile, pseudonyms, known, version=__version__, called=who)
    except DeidError:
        raise
    except Exception as error:  # noqa: BLE001  # a file broken in a way that nobody foresaw must not stop the others
        raise Rejected(f"cannot be de-identified ({type(error).__name__})") from None
    try:
        uids = [done.uids[uid] for uid in (header.StudyInstanceUID, header.SeriesInstanceUID, header.SOPInstanceUID)]
    except KeyError:
        raise Rejected("it was changed while it was read") from None
    path = output.path_of(done.patient_id, *uids)
    return done.data, Made(path, len(done.data), hashlib.sha256(done.data).hexdigest(), dict(done.notes))


def _read(root: Path, header: Header) -> bytes:
    data = unpack.read(root, header.source)
    return with_preamble(data) if kind_of(data[:HEAD]) is Kind.BARE else data


@lru_cache(maxsize=2)
def _pseudonyms(key: bytes) -> Pseudonyms:
    """Make them once, so that the UIDs that they remember are remembered."""
    return Pseudonyms(key)
