"""Private attributes in the pass: which of a dataset's blocks are safe, and what happens to their elements."""

from collections.abc import Iterable

from pydicom import Dataset
from pydicom.dataelem import RawDataElement

from .. import actions
from ..actions import Element, Run, bytes_of
from ..plan import Decision, Plan
from ..standard.attributes import BULK, NUMBERS, TEXTS
from . import lists

_BLOCKS = range(0x10, 0x100)  # elements that name the creator of a block (PS3.5 7.8.1)


def kept(run: Run, plan: Plan, ds: Dataset, found: Iterable[tuple[int, Element]]) -> dict[int, Element]:
    """Answer what stays of the private elements of a dataset or item, with the creators that it needs."""
    elements = dict(found)
    named = {
        tag: actions.text_of(elem).strip("\x00 ")
        for tag, elem in elements.items()
        if tag & 0xFFFF in _BLOCKS and elem.VR in ("LO", "UN", None, "SH")
    }
    stay: dict[int, Element] = {}
    for tag, elem in elements.items():
        creator = tag & 0xFFFF0000 | (tag & 0xFFFF) >> 8
        if tag & 0xFFFF not in _BLOCKS and creator in named:
            new = _one(run, plan, ds, elem, named[creator])
            if new is not None:
                stay[tag] = new
                stay.setdefault(creator, run.raw(creator, "LO", named[creator].encode("ascii", "replace")))
    return stay


def creators(ds: Dataset) -> list[tuple[int, Element]]:
    """Answer the elements that name the creator of a block."""
    found = ((tag, ds.get_item(tag)) for tag in ds.keys() if tag >> 16 & 1 and tag & 0xFFFF in _BLOCKS)  # noqa: SIM118  # keys() does not convert
    return [(tag, elem) for tag, elem in found if elem is not None]


def _one(run: Run, plan: Plan, ds: Dataset, elem: Element, creator: str) -> Element | None:
    group, offset = elem.tag >> 16, elem.tag & 0xFF
    ruled = plan.private.get((creator, group, offset)) or plan.private.get((creator, group, None))
    safe = lists.lookup(creator, group, offset, lists=plan.lists)
    vr = elem.VR if elem.VR not in (None, "UN") else safe.vr if safe else None
    if vr is None:
        return None  # a rule keeps what nobody can read
    known = _known(run, elem, vr)
    if known is None:
        return None
    if ruled:
        return _by_rule(run, ds, known, ruled)
    if safe is None or not _of_one_kind(vr, safe.vr):
        return None
    return _blob(run, known, safe.action) if safe.action in lists.BLOBS else _SAFE[safe.action](run, ds, known)


def _of_one_kind(vr: str, listed: str) -> bool:
    """Tell whether the file holds the kind of value that the list vouches for."""
    if listed in ("OB", "UN"):
        return vr != "SQ"
    return (vr in _WORDS) == (listed in _WORDS) and (vr == "SQ") == (listed == "SQ")


def _known(run: Run, elem: Element, vr: str) -> Element | None:
    """Give an element of unknown VR the one that its creator uses; UN is implicit little endian (PS3.5 6.2.2)."""
    if vr == elem.VR:
        return elem
    if not run.little:
        return None
    value = bytes_of(elem)
    if vr == "SQ":
        return RawDataElement(elem.tag, "SQ", len(value), value, 0, is_implicit_VR=True, is_little_endian=True)
    return run.raw(elem.tag, vr, value)


def _by_rule(run: Run, ds: Dataset, elem: Element, decision: Decision) -> Element | None:
    return actions.handler(decision)(run, ds, elem)


def _keep(run: Run, ds: Dataset, elem: Element) -> Element | None:
    """Keep numbers; clean long texts; screen short ones, which machines write, and bytes."""
    vr = str(elem.VR)
    if vr == "SQ":
        return run.items(ds, elem)
    if vr in BULK or vr == "UN":
        return _bytes(run, elem)
    if vr in _LONG_TEXTS:
        return actions.clean(run, ds, elem, actions.remove)
    return actions.numbers_only(run, elem, vr) if vr in NUMBERS else actions.keep(run, ds, elem)


def _bytes(run: Run, elem: Element) -> Element | None:
    """Keep bytes unless something known of the study stands in them: nobody knows how to take it out."""
    value = bytes_of(elem)
    text = value.decode("latin-1")
    judge = run.texts.clean if actions.reads_as_text(value) else run.texts.screen
    return elem if judge(text) == text and not actions.holds_known(run, value) else None


def _blob(run: Run, elem: Element, kind: str) -> Element | None:
    """Make a vendor's header anew with nothing in it but what is known to be harmless."""
    new = lists.BLOBS[kind](bytes_of(elem), run.texts.clean)
    return None if new is None else run.raw(elem.tag, str(elem.VR), new)


def _shift(run: Run, ds: Dataset, elem: Element) -> Element | None:
    return actions.uncovered_time(run, ds, elem) if elem.VR == "TM" else actions.uncovered_date(run, ds, elem)


_WORDS = TEXTS | {"AE", "CS", "PN"}
_LONG_TEXTS = frozenset({"LT", "ST", "UC", "UT"})
_SAFE = {
    "keep": _keep,
    "uid": actions.map_uid,
    "shift": _shift,
    "items": _keep,
}
