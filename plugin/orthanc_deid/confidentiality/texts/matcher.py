"""Finds what is known of a study in a text: one set of rules for the cleaner and for the search of its results.

- A word is a run of letters of one script or a run of digits; `camelCase` is two words and also one.
- Words are compared without case and accents, umlauts also as two letters (Müller, MUELLER, Muller), katakana as
  hiragana. A name counts in any order of its parts. Names and ids shorter than 4 characters are known only where they
  are the whole text. Scripts without blanks are searched inside words.
- Ids of 6 characters and more and phone numbers are found inside longer words and through blanks and hyphens; a
  shorter number is none where letters touch it (`b1000`).
- Places count as a whole phrase of at least 2 words or 6 characters with a word that is neither of the
  clinic nor a kind of place.
- Birth dates are found in their usual notations, UIDs as whole dotted numbers.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations

from ..identifiers import Identifiers
from . import vocabulary

SHORT = 4  # characters; fewer count as whole texts only
INSIDE = 6  # characters from which an id is found inside a longer word

# A run of digits not begun before, so that a long one is read once.
_UID = re.compile(r"(?<![0-9])[0-9]+(?:\.[0-9]+){2,}")
_WORD = re.compile(r"[0-9]+|[A-Za-z]+|[^\W_A-Za-z0-9]+")
_ALNUM = re.compile(r"[^\W_]+")
_HYPHENS = re.compile("[-\u2010-\u2015]")
_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_NO_BLANKS = re.compile("[\u0e00-\u0fff\u1100-\u11ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7ff\uf900-\ufaff]")
_PUNCTUATION = " \t\r\n\x00.,;:!?()[]{}<>'\"^=_/-"
_LONGEST_NAME = 5  # parts whose orders are tried
_PHONE_TAIL = 8  # digits of a number without the prefixes that are often left out
_LETTERS = str.maketrans(
    {"ø": "o", "Ø": "O", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D"}
    | {"ł": "l", "Ł": "L", "\u0131": "i", "þ": "th", "Þ": "TH", "ß": "ss", "ẞ": "SS", "ħ": "h", "Ħ": "H"}
    | {chr(kana): chr(kana - 0x60) for kana in range(0x30A1, 0x30F7)}
)

Run = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """Where something known stands in a text, and its kind: name, id, birth date, uid, place or contact."""

    start: int
    end: int
    kind: str


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a text as it is compared, and where it stands."""

    key: str
    start: int
    end: int


def bare(text: str) -> tuple[str, list[int] | None]:
    """Take away accents and keep case; also answer where each character came from, None where nothing moved."""
    if text.isascii():
        return text, None
    characters: list[str] = []
    origins: list[int] = []
    for index, character in enumerate(text):
        plain = character if character < "\x80" else _bare_character(character)
        characters.append(plain)
        origins.extend([index] * len(plain))
    return "".join(characters), origins


@lru_cache(maxsize=4096)
def _bare_character(character: str) -> str:
    if unicodedata.category(character) == "Cf":
        return ""  # soft hyphens, joiners, marks of direction
    decomposed = unicodedata.normalize("NFKD", character)
    letters = (c for c in decomposed if not unicodedata.combining(c))
    digits = (str(unicodedata.digit(c)) if c.isdecimal() else c for c in letters)
    return "".join(digits).translate(_LETTERS)


def folded(text: str) -> str:
    """Take away case and accents."""
    return bare(text)[0].casefold()


def key(word: str) -> str:
    """Answer what is compared of a bare word: no case, umlauts as one letter."""
    lower = word.casefold()
    return lower.replace("ae", "a").replace("oe", "o").replace("ue", "u")


def words(plain: str) -> list[Word]:
    """Answer the words of a bare text."""
    return [Word(key(match[0]), match.start(), match.end()) for match in _WORD.finditer(plain)]


def split(word: Word, plain: str) -> Iterator[Word]:
    """Take a word apart where camel case joins several."""
    text = plain[word.start : word.end]
    if text.islower() or text.isupper() or not (text.isascii() and text.isalpha()):
        yield word
        return
    for match in _CAMEL.finditer(text):
        yield Word(key(match[0]), word.start + match.start(), word.start + match.end())


def runs(text: str) -> set[Run]:
    """Answer the words of a known text, with camel case taken apart and left together."""
    plain = bare(text)[0]
    found = words(plain)
    return {tuple(w.key for w in found), tuple(part.key for w in found for part in split(w, plain))} - {()}


class Matcher:
    """What is known of one study, ready to be compared."""

    def __init__(self, known: Identifiers) -> None:
        self.whole = _whole(known)
        self.runs = _runs(known)
        self.id_runs = dict.fromkeys(_id_runs(known.ids), "id")
        self.first, self.first_of_ids = _by_first(self.runs), _by_first(self.id_runs)
        self.joined = _joined(known)
        self.inside = {folded(name): "name" for name in known.names if _NO_BLANKS.search(folded(name))}
        self.inside |= {folded(text): "contact" for text in known.contacts if "@" in text}
        self.dates = frozenset(notation for date in known.dates for notation in notations(date))
        self.birth = known.dates
        self.uids = known.uids
        self.numbers = _numbers(known)

    def kind(self, text: str) -> str | None:
        """Tell what of the study stands in a text; None for nothing."""
        return next((span.kind for span in self.spans(text)), None)

    def spans(self, text: str) -> Iterator[Span]:
        """Answer where things of the study stand in a text, in no order; some may lie in others."""
        plain, origins = bare(text)
        for span in self._bare_spans(plain):
            if origins is None:
                yield span
            else:
                yield Span(origins[span.start], origins[span.end - 1] + 1, span.kind)

    def code(self, text: str) -> str | None:
        """Tell whether a coded value is something known: as a whole, and no defined term of the standard."""
        plain = folded(text)
        return self.whole.get(plain) if len(plain) >= SHORT and not vocabulary.is_defined_term(text) else None

    def number(self, value: bytes) -> str | None:
        """Tell whether one of the values of DS or IS is a known number as a whole, from 6 digits on."""
        if not any(number in value for number in self.numbers):
            return None
        parts = (_SIGNS.sub(b"", part) for part in value.split(b"\\"))
        return next((self.numbers[part] for part in parts if part in self.numbers), None)

    def _bare_spans(self, plain: str) -> Iterator[Span]:
        lower = plain.casefold() if len(plain.casefold()) == len(plain) else plain.lower()
        trimmed = lower.strip(_PUNCTUATION)
        if trimmed in self.whole:
            yield Span(0, len(plain), self.whole[trimmed])
        if not self.uids.isdisjoint(_UID.findall(plain)):
            yield from (Span(*m.span(), "uid") for m in _UID.finditer(plain) if m[0] in self.uids)
        yield from _everywhere(lower, dict.fromkeys(self.dates, "birth date") | self.inside)
        yield from self._joined_spans(lower)
        yield from self._run_spans(plain)

    def _joined_spans(self, lower: str) -> Iterator[Span]:
        """Look through blanks and punctuation: 77-345 12 for 7734512."""
        if not self.joined:
            return
        compact = _APART.sub("", lower)
        if not any(text in compact for text in self.joined):
            return
        at = [index for index, character in enumerate(lower) if character.isalnum()]
        solid = "".join(lower[index] for index in at)
        for span in _everywhere(solid, self.joined):
            yield _to_its_ends(Span(at[span.start], at[span.end - 1] + 1, span.kind), lower)

    def _run_spans(self, plain: str) -> Iterator[Span]:
        found = words(plain)
        yield from _runs_among(found, self.first)
        parts = [part for word in found for part in split(word, plain)]
        if len(parts) != len(found):
            yield from _runs_among(parts, self.first)
        if self.first_of_ids:
            matches = _ALNUM.finditer(plain)
            yield from _runs_among([Word(m[0].casefold(), m.start(), m.end()) for m in matches], self.first_of_ids)


_ByFirst = dict[str, list[tuple[Run, str]]]


def _by_first(runs_: dict[Run, str]) -> _ByFirst:
    found: _ByFirst = {}
    for run, kind in runs_.items():
        found.setdefault(run[0], []).append((run, kind))
    return found


def _runs_among(found: list[Word], first: _ByFirst) -> Iterator[Span]:
    for index, word in enumerate(found):
        for run, kind in first.get(word.key, ()):
            last = index + len(run) - 1
            if last < len(found) and all(found[index + i].key == run[i] for i in range(1, len(run))):
                yield Span(word.start, found[last].end, kind)


_SIGNS = re.compile(rb"[^0-9]")


def _numbers(known: Identifiers) -> dict[bytes, str]:
    kinds = (("contact", known.contacts), ("id", known.ids), ("birth date", known.dates))
    said = ((text, kind) for kind, texts in kinds for text in texts if not _LETTER.search(text))
    found = {_SIGNS.sub(b"", text.encode("ascii", "replace")): kind for text, kind in said}
    return {number: kind for number, kind in found.items() if len(number) >= INSIDE}


_LETTER = re.compile(r"[^\W\d_]")
_APART = re.compile(r"[\W_]+")


def _to_its_ends(span: Span, plain: str) -> Span:
    """Take the whole of the words in which something begins and ends."""
    phone = span.kind == "contact"
    start, end = span.start, span.end
    while start and (plain[start - 1] in _OF_PHONES if phone else plain[start - 1].isalnum()):
        start -= 1
    while end < len(plain) and (plain[end] in _OF_PHONES if phone else plain[end].isalnum()):
        end += 1
    return Span(start, end, span.kind)


_OF_PHONES = frozenset(" +()/.-0123456789")


def _everywhere(lower: str, wanted: dict[str, str]) -> Iterator[Span]:
    for text, kind in wanted.items():
        at = lower.find(text)
        while at >= 0:
            yield Span(at, at + len(text), kind)
            at = lower.find(text, at + len(text))


def _whole(known: Identifiers) -> dict[str, str]:
    whole = {folded(text).strip(_PUNCTUATION): "name" for text in known.names}
    whole |= {folded(text).strip(_PUNCTUATION): "id" for text in known.ids if is_id(text)}
    whole.pop("", None)
    return whole


def is_id(text: str) -> bool:
    """Tell whether a text can identify as an id: two or three digits are anything."""
    return len(text) >= SHORT or not text.isdigit()


def _runs(known: Identifiers) -> dict[Run, str]:
    found: dict[Run, str] = {}
    for kind, texts in (("contact", known.contacts), ("place", known.places)):
        found |= {run: kind for text in texts for run in runs(text) if _is_said(run, text, kind)}
    for name in known.names:
        found |= {run: "name" for run in _orders(name) if sum(map(len, run)) >= SHORT}
    return found


def _id_runs(ids: frozenset[str]) -> Iterator[Run]:
    for text in ids:
        run = tuple(_ALNUM.findall(folded(text)))
        if run and SHORT <= len(text) < INSIDE:
            yield run
            yield ("".join(run),)


def _is_said(run: Run, text: str, kind: str) -> bool:
    if kind == "place":
        enough = len(run) > 1 or len(run[0]) >= INSIDE
        return enough and any(not word.isdigit() and vocabulary.is_telling(word) for word in _plain_words(text))
    return len(text) >= SHORT and any(len(word) > 1 for word in run)


def _plain_words(text: str) -> list[str]:
    return _WORD.findall(folded(text))


def _orders(name: str) -> Iterator[Run]:
    """Answer a name's words in its order, and those of its parts turned round and any two of them."""
    yield from runs(name)
    yield from (run for part in name.split() for half in _HYPHENS.split(part) for run in runs(half))
    parts = [tuple(w.key for w in words(bare(part)[0])) for part in name.split()]
    if not 1 < len(parts) <= _LONGEST_NAME:
        return
    for order in (parts[::-1], *permutations(parts, 2)):
        run = tuple(word for part in order for word in part)
        if sum(len(word) > 1 for word in run) > 1:
            yield run
            yield ("".join(run),)


def _joined(known: Identifiers) -> dict[str, str]:
    ids = {_APART.sub("", folded(text)) for text in known.ids}
    phones = {re.sub(r"\D", "", bare(text)[0]) for text in known.contacts if "@" not in text}
    phones |= {digits[-_PHONE_TAIL:] for digits in phones if len(digits) > _PHONE_TAIL}
    found = dict.fromkeys(phones, "contact") | dict.fromkeys(ids, "id")
    return {text: kind for text, kind in found.items() if len(text) >= INSIDE}


_MONTHS = """
    january february march april may june july august september october november december
    januar februar marz april mai juni juli august september oktober november dezember
    janvier fevrier mars avril mai juin juillet aout septembre octobre novembre decembre
    enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre
    gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre
"""
MONTHS = {month: index % 12 + 1 for index, month in enumerate(_MONTHS.split())}
MONTHS |= {month[:3]: number for month, number in MONTHS.items()}


def notations(date: str) -> Iterator[str]:
    """Answer how people write a date YYYYMMDD, in lower case and without accents."""
    if len(date) != len("YYYYMMDD") or not date.isdigit():
        return
    y, m, d = date[:4], date[4:6], date[6:]
    yield date
    for mark in "-./":
        yield from (f"{y}{mark}{m}{mark}{d}", f"{d}{mark}{m}{mark}{y}", f"{m}{mark}{d}{mark}{y}")
        yield from (f"{int(d)}{mark}{int(m)}{mark}{y}", f"{int(m)}{mark}{int(d)}{mark}{y}")
    for month in (name for name, number in MONTHS.items() if number == int(m)):
        for day in {d, str(int(d))}:
            yield from (f"{day} {month} {y}", f"{day}. {month} {y}", f"{day}-{month}-{y}", f"{month} {day}, {y}")
            yield from (f"{day} de {month} de {y}", f"{month} {day} {y}")


@lru_cache(maxsize=8)
def matcher(known: Identifiers) -> Matcher:
    """Make the matcher of a study, or answer the one that was made."""
    return Matcher(known)
