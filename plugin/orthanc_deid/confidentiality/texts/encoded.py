"""Cleans the bytes of texts: decodes them, asks the study's cleaner, encodes the answer in the same character set."""

import re
from functools import lru_cache

from ..identifiers import Identifiers
from ..profile import Profile
from ..standard.attributes import ONE_VALUE
from . import charsets
from .cleaner import Cleaner, Mode
from .matcher import SHORT
from .vocabulary import is_defined_term

_ROUNDS = 3  # after which a text that changes each time goes as a whole
_CONTROLS = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")  # they part a word for a machine only
_REMEMBERED = 4096  # texts; the slices of a series repeat theirs


class Texts:
    """What one study's cleaner answers for encoded values, remembered."""

    def __init__(self, cleaner: Cleaner) -> None:
        self._cleaner = cleaner
        self._seen: dict[tuple[str, bytes, str, charsets.Encodings], bytes] = {}
        self._ways = {"clean": cleaner.clean, "screen": cleaner.screen}

    def cleaned(self, value: bytes, vr: str, encodings: charsets.Encodings) -> bytes:
        """Answer what may stay of a text that somebody typed; empty where nothing may."""
        return self._answer("clean", value, vr, encodings)

    def screened(self, value: bytes, vr: str, encodings: charsets.Encodings) -> bytes:
        """Answer a text without what is known of the study; the same object where nothing is."""
        return self._answer("screen", value, vr, encodings)

    def clean(self, text: str) -> str:
        """Clean a decoded text."""
        return self._cleaner.clean(text)

    def screen(self, text: str) -> str:
        """Take what is known of the study from a decoded text."""
        return self._cleaner.screen(text)

    def knows_number(self, value: bytes) -> bool:
        """Tell whether one of the numbers of DS or IS is an id, a birth date or a phone number of the study."""
        return self._cleaner.knows_number(value)

    def _answer(self, way: str, value: bytes, vr: str, encodings: charsets.Encodings) -> bytes:
        key = (way, value, vr, encodings)
        found = self._seen.get(key)
        if found is None:
            if len(self._seen) >= _REMEMBERED:
                self._seen.clear()
            found = self._seen[key] = self._ask(way, value, vr, encodings)
        return found

    def _ask(self, way: str, value: bytes, vr: str, encodings: charsets.Encodings) -> bytes:
        text = charsets.decoded(value, encodings, vr)
        if text is not None and _CONTROLS.search(value.rstrip(b"\x00")):
            joined = charsets.decoded(_CONTROLS.sub(b"", value), encodings, vr)
            text = joined if joined and self.screen(joined) != joined else text
        for _ in range(_ROUNDS):
            if text is None:
                return b""  # nobody can say what it is
            new = self._said(way, text, vr)
            if new == text and charsets.decodes(value, encodings):
                return value
            value = charsets.encoded(new, encodings, vr)
            # What the character set lacks became a question mark, which can part a name from what hid it.
            text = charsets.decoded(value, encodings, vr)
            if text == new:
                return value
        return b""

    def _said(self, way: str, text: str, vr: str) -> str:
        ask = self._ways[way]
        parts = [text] if vr in ONE_VALUE else text.split("\\")
        if vr == "CS":
            parts = [part.strip("\x00 ") for part in parts]
        # A term of the standard stays, whoever bears its name: BodyPartExamined HEAD of a patient called Head.
        new = [part if vr == "CS" and (len(part) < SHORT or is_defined_term(part)) else ask(part) for part in parts]
        return "\\".join(new) if any(new) else ""


@lru_cache(maxsize=8)
def of(profile: Profile, known: Identifiers, days: int | None) -> Texts:
    """Answer the cleaner of a study; `known` without its UIDs, which differ from instance to instance."""
    words = frozenset(profile.text.words)
    return Texts(Cleaner(Mode(profile.text.mode), known, days=days, words=words))
