"""The pass: applies a profile to a dataset at every depth; complete without Orthanc's own /anonymize before it."""

import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial

from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement

from orthanc_deid.errors import Rejected

from . import actions, elements, method, pixel_bytes
from .actions import Element, Handler, Run
from .identifiers import Identifiers
from .plan import Action, Node, Plan, plan
from .private import blocks
from .profile import Profile
from .pseudonyms import Patient, Pseudonyms
from .standard import attributes
from .standard.options import Option
from .texts import charsets, encoded

# What native /anonymize changes inside items whatever it is told: StudyInstanceUID and SeriesInstanceUID.
_SPOILED = frozenset({0x0020000D, 0x0020000E})
_SOP_CLASS = 0x00080016
_REPEATING = frozenset({0x5000, 0x6000})


def rewrite(  # noqa: PLR0913  # four facts and five that differ by door
    ds: Dataset,
    profile: Profile,
    pseudonyms: Pseudonyms,
    patient: Patient,
    *,
    version: str,
    known: Identifiers | None = None,
    already_mapped: frozenset[str] = frozenset(),
    original: Callable[[], Dataset] | None = None,
    notes: Counter[str] | None = None,
) -> Dataset:
    """De-identify a dataset in place and return it.

    `ds` is the source, or what Orthanc's /anonymize made of it with the payload of `native`; then `already_mapped`
    holds the UIDs that the payload gave, which are this project's own and stay. `original` fetches the source; it is
    called only where /anonymize spoiled sequences that stay. `version` is this software's. `known` is what
    identifies the patient in any instance of the study: it is taken out of every text that stays. `notes` counts
    what a person should know, without any value.

    Raises
    ------
    Rejected
        The dataset is nested too deeply, or holds what the profile refuses.
    """
    _refuse(ds, profile)
    run = _Pass(ds, profile, pseudonyms, patient, known or Identifiers())
    run.mapped = already_mapped
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a library's warning may hold a value
        try:
            run.clean(ds, charsets.DEFAULT)
            if run.spoiled and original is not None:
                _take_sequences(ds, original())
                run.clean(ds, charsets.DEFAULT, only_sequences=True)
        except RecursionError:
            raise Rejected("sequences are nested too deeply") from None
        if pixel_bytes.scrub(ds):
            run.notes["emptied 7FE0,0010: remarks beside the pixels"] += 1
    run.finish(ds, profile, version)
    if notes is not None:
        notes.update(run.notes)
    return ds


def new_uid(profile: Profile, pseudonyms: Pseudonyms) -> Callable[[str], str]:
    """Answer what a profile makes of a UID: the project's own, or with Retain UIDs the same."""
    return partial(_same, pseudonyms) if profile.has(Option.UIDS) else pseudonyms.uid


def _same(pseudonyms: Pseudonyms, uid: str) -> str:
    """Answer a UID as it is; what is no UID may be anything and is mapped."""
    uid = uid.strip("\x00 ")
    return uid if actions.is_uid(uid) else pseudonyms.uid(uid)


def _refuse(ds: Dataset, profile: Profile) -> None:
    elem = ds.get_item(attributes.BURNED_IN)
    said = actions.text_of(elem).strip("\x00 ").upper() if elem is not None else ""
    # An encapsulated document has to say YES (PS3.3 C.24.2) and has no pixels.
    if said == "YES" and attributes.PIXEL_DATA in ds and profile.pixels.burned_in == "quarantine":
        raise Rejected("it says that text is burned into its pixels (BurnedInAnnotation YES)")


def _take_sequences(ds: Dataset, source: Dataset) -> None:
    """Replace every sequence that is left by the source's."""
    for tag, elem in list(ds.items()):
        if elem.VR == "SQ":
            found = source.get_item(tag)
            if found is None:
                del ds[tag]
            else:
                ds[tag] = found


class _Pass(Run):
    """Walks through a dataset and its items, and applies the plan to each element."""

    def __init__(
        self, ds: Dataset, profile: Profile, pseudonyms: Pseudonyms, patient: Patient, known: Identifiers
    ) -> None:
        implicit, little = ds.original_encoding
        self.implicit, self.little = bool(implicit), little is not False
        self.plan = plan(profile)
        self.handlers = _handlers(self.plan)
        self.map = new_uid(profile, pseudonyms)
        self.mapped: frozenset[str] = frozenset()
        self.name = pseudonyms.patient_name(patient).encode("ascii")
        self.id = pseudonyms.patient_id(patient).encode("ascii")
        self.token = pseudonyms.token
        self.days = pseudonyms.offset_days(patient, whole_weeks=profile.dates.keep_weekday)
        self.dates = _dates(profile)
        self.documents = profile.documents
        shown = self.days if self.dates == actions.SHIFTED else None
        self.texts = encoded.of(profile, known.without("uids"), shown)
        self.notes = Counter()
        sop_class = ds.get_item(_SOP_CLASS)
        self.sop_class = actions.text_of(sop_class).strip("\x00 ") if sop_class is not None else ""
        self.depth = 0
        self.spoiled = False
        self.nodes: tuple[Node, ...] = ()

    def uid(self, original: str) -> str:
        """Map a UID that is not this project's own already."""
        return original if original in self.mapped else self.map(original)

    def clean(self, ds: Dataset, inherited: charsets.Encodings, *, only_sequences: bool = False) -> None:
        """Apply the plan to every element of a dataset or item."""
        outer, self.encodings = self.encodings, charsets.declared(ds, inherited)
        find = self.handlers.get
        private: list[tuple[int, Element]] = []
        for key, elem in list(ds.items()):
            if only_sequences and elem.VR not in ("SQ", None):
                continue
            tag = int(key)  # pydicom's tags are slow to compare
            if tag >> 16 & 1:
                private.append((tag, elem))
                continue
            handler = self._on_path(tag) if self.nodes else None
            handler = handler or find(tag) or self._repeating(tag)
            new = handler(self, ds, elem) if handler else None
            if new is None:
                del ds[key]
            elif new is not elem:
                elements.put(ds, new)
        if private:
            self._private(ds, private, only_sequences=only_sequences)
        if self.depth and not self.spoiled:
            self.spoiled = not _SPOILED.isdisjoint(ds.keys())
        self.encodings = outer

    def _private(self, ds: Dataset, found: list[tuple[int, Element]], *, only_sequences: bool) -> None:
        known = blocks.creators(ds) if only_sequences else []
        stay = blocks.kept(self, self.plan, ds, [*known, *found]) if self.plan.keeps_private else {}
        for tag, elem in found:
            if tag not in stay:
                del ds[elem.tag]
        for elem in stay.values():
            elements.put(ds, elem)

    def is_image(self, tag: int) -> bool:
        """Tell whether an attribute is the image's own pixels."""
        return self.depth == 0 and tag == attributes.PIXEL_DATA

    def _on_path(self, tag: int) -> Handler | None:
        """Answer what a rule with a path says of a tag; the longest path wins."""
        found = [node.tags[tag] for node in self.nodes if tag in node.tags]
        return actions.handler(found[-1]) if found else None

    def _repeating(self, tag: int) -> Handler | None:
        """Answer what a rule says of curves and overlays, which the dictionary lists as patterns only."""
        if tag >> 16 & 0xFF00 not in _REPEATING or not self.plan.patterns:
            return None
        found = [decision for bits, mask, decision in self.plan.patterns if tag & mask == bits]
        return actions.handler(found[-1]) if found else None

    def items(self, ds: Dataset, elem: Element) -> Element | None:
        """Clean the items of a sequence; what cannot be read as one is removed."""
        if elem.VR not in ("SQ", "UN", None):
            return None
        sequence = _sequence(ds, elem)
        if sequence is None:
            return None
        outer = self.nodes, self.sequence
        self.nodes, self.sequence = self._below(elem.tag), int(elem.tag)
        self.depth += 1
        for item in sequence.value:
            self.clean(item, self.encodings)
        self.depth -= 1
        self.nodes, self.sequence = outer
        return sequence

    def _below(self, tag: int) -> tuple[Node, ...]:
        paths = self.plan.paths
        if not paths.below:
            return ()
        return tuple(node.below[tag] for node in (paths, *self.nodes) if tag in node.below)

    def finish(self, ds: Dataset, profile: Profile, version: str) -> None:
        """Write who the dataset is now, what a person asked for, and what was done."""
        self.put(ds, attributes.PATIENT_NAME, "PN", self.name)
        self.put(ds, attributes.PATIENT_ID, "LO", self.id)
        encodings = charsets.declared(ds, charsets.DEFAULT)
        for tag, text in profile.native.replace().items():
            vr = dictionary_VR(tag).split(" ")[0]
            self.put(ds, tag, vr, charsets.encoded(text, encodings, vr))
        for tag, vr, value in method.attributes(profile, version):
            self.put(ds, tag, vr, value)
        ds[method.CODES] = method.code_sequence(profile, implicit=self.implicit, little=self.little)

    def put(self, ds: Dataset, tag: int, vr: str, value: bytes) -> None:
        """Set an element of bytes."""
        elements.put(ds, self.raw(tag, vr, value))


def _dates(profile: Profile) -> str:
    if profile.has(Option.FULL_DATES):
        return actions.KEPT
    return actions.SHIFTED if profile.has(Option.MODIFIED_DATES) else actions.REMOVED


_compiled: dict[int, tuple[Plan, Mapping[int, Handler]]] = {}


def _handlers(found: Plan) -> Mapping[int, Handler]:
    """Answer tag -> handler; made once for each plan, of which `plan` keeps a few."""
    known = _compiled.get(id(found))
    if known is None or known[0] is not found:
        handlers = {tag: actions.handler(decision) for tag, decision in found.tags.items()}
        for tag in attributes.CONTENT_DATES & found.tags.keys():
            if found.tags[tag].action in (Action.SHIFT, Action.DATE):
                handlers[tag] = actions.unless_birth(handlers[tag])
        known = _compiled[id(found)] = (found, handlers)
    return known[1]


def _sequence(ds: Dataset, elem: Element) -> DataElement | None:
    try:
        # A VR of an element in our hands may have been found out by us: the dataset does not know it.
        converted = elements.converted(ds, elem) if elem.VR == "SQ" else ds[elem.tag]
        return converted if converted.VR == "SQ" and all(len(item) >= 0 for item in converted.value) else None
    except RecursionError:
        raise
    except Exception:  # noqa: BLE001  # pydicom raises many kinds for bytes that are no sequence: none can be kept
        return None
