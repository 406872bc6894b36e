"""Which tokens of a text are of the clinic and may stay when everything unknown goes.

A token is a run of letters and digits. It stays when it is a small number, a number with a unit, a word of the
vocabulary, or made of such parts (`ep2d`, `L4`, `kneeMRI`, `Kniegelenk`). Numbers of 5 and more digits go. A word that
is also a name (`Long`, `Head`) goes beside a word that went, and so does an initial.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

from . import vocabulary_data

_LEAST = 2  # letters of a word; a single one is an initial where a name stands beside it
_LONGEST_NUMBER = 4  # digits
_LONGEST_FRACTION = 6
_MOST_DIGITS = 6  # in a token of letters and digits
_LETTER_UNITS = "mstglhdywxjv"  # the other single letters stand behind small numbers only: 4b, 20f
_PART = 4  # letters of each part of a compound word
_STEM, _LONG_STEM = 5, 6  # letters before an ending of the plural, and before another
_PLURALS = ("s", "es", "e", "en")
_ENDINGS = ("s", "es", "e", "n", "en", "er", "em", "a", "o", "al", "ed", "ing", "ly")
_LINKS = ("", "s", "n", "en", "es", "o", "er")
_LONGEST_COMPOUND = 40
_CONTEXT_REACH = 2  # tokens between an eponym and what it names

_TOKEN = re.compile(r"(?:(?<![^\W_])\d+(?:[.,]\d+)+(?![^\W_]))|[^\W_]+|[\ue000-\uf8ff]+")
_PARTS = re.compile(r"\d+|[^\W\d_]+")
_KERNEL = re.compile(r"(?:[bdhijqrsu]|[bhqu][lprv]|s[acp]|fc|fl|ha)\d{1,3}[a-z]{0,2}")
_NUMBER_WITH_UNIT = re.compile(r"(\d{1,6}(?:[.,]\d{1,6})?)([^\W\d_]{1,9})")
# What may stand between tokens: other characters say nothing that is needed, or are letters of no language.
_NO_SEPARATOR = re.compile(r"[^\s!-/:-@\[-`{-~°µ·\u00d7±≤≥\u2013\u2014…²³½¼¾]+")
_BRACKETS = re.compile(r"\(\s*\)|\[\s*\]|\{\s*\}|<\s*>")
_BLANKS = re.compile(r"[ \t]{2,}")
_EDGES = " \t_-,;:/^|=&"


@cache
def _set(name: str) -> frozenset[str]:
    return frozenset(getattr(vocabulary_data, name).split())


@lru_cache(maxsize=16384)
def folded(word: str) -> str:
    """Take away case and accents."""
    if word.isascii():
        return word.lower()
    decomposed = unicodedata.normalize("NFKD", word)
    return "".join(c for c in decomposed if not unicodedata.combining(c)).casefold().translate(_LIGATURES)


_LIGATURES = str.maketrans({"œ": "oe", "æ": "ae", "ø": "o", "ł": "l"})


def is_clinical(word: str) -> bool:
    """Tell whether a word, in any case and with or without accents, is of the vocabulary."""
    return _is_word(folded(word))


def is_defined_term(text: str) -> bool:
    """Tell whether a coded value is a defined term of the standard, as HEAD is for Body Part Examined."""
    return text.strip().upper() in _set("TERMS")


def is_telling(word: str) -> bool:
    """Tell whether a word of a place says which place it is: none of the clinic, nor hospital, street, department."""
    return not is_clinical(word) and folded(word) not in _set("GENERIC")


def is_ambiguous(word: str) -> bool:
    """Tell whether a word of the vocabulary is also a name of people."""
    return folded(word) in _set("AMBIGUOUS")


def _is_word(plain: str) -> bool:
    every = _set("WORDS")
    if plain in every:
        return True
    umlauts = plain.replace("ae", "a").replace("oe", "o").replace("ue", "u")
    return umlauts != plain and umlauts in every


@dataclass(slots=True)
class _Token:
    text: str
    before: str  # the separator that precedes it
    kept: str  # what stays of it


class Vocabulary:
    """The generated vocabulary with a site's own words."""

    def __init__(self, more: frozenset[str] = frozenset()) -> None:
        self.more = frozenset(folded(word) for word in more)

    def cleaned(self, text: str) -> str:
        """Keep what is of the clinic, with the separators between."""
        tokens, rest = self._tokens(unicodedata.normalize("NFC", text))
        _drop_names(tokens)
        cleaned = _joined(tokens, rest)
        return text if cleaned == text else tidy(cleaned)

    def _tokens(self, text: str) -> tuple[list[_Token], str]:
        tokens: list[_Token] = []
        end = 0
        for match in _TOKEN.finditer(text):
            before = _NO_SEPARATOR.sub(" ", text[end : match.start()])
            tokens.append(_Token(match[0], before, self.kept(match[0])))
            end = match.end()
        return tokens, _NO_SEPARATOR.sub(" ", text[end:])

    def kept(self, token: str) -> str:
        """Answer what stays of one token: all, some of its camel-case words, or nothing."""
        if token[0].isdigit() and not any(character.isalpha() for character in token):
            return token if _is_small(token) else ""
        if not token[0].isalnum():
            return token  # the place of a date that was shifted (text.py)
        if token.isalpha():
            return self._kept_letters(token)
        return token if self._is_code(token) else ""

    def _kept_letters(self, token: str) -> str:
        if self.is_word(token):
            return token
        parts = list(_camel(token))
        if len(parts) < _LEAST:
            return ""
        kept = [part if len(part) >= _LEAST and self.is_word(part) else "" for part in parts]
        return "".join(kept) if any(len(part) > _LEAST for part in kept) else ""

    def is_word(self, token: str) -> bool:
        """Tell whether letters are a word, a form of one, or two words written together."""
        plain = folded(token)
        return len(plain) < _LEAST or plain in self.more or _is_word(plain) or _is_form(plain) or _is_compound(plain)

    def _is_code(self, token: str) -> bool:
        plain = folded(token)
        if plain in _set("CODES") or plain in self.more or _KERNEL.fullmatch(plain):
            return True
        parts = _PARTS.findall(plain)
        if sum(len(part) for part in parts if part[0].isdigit()) > _MOST_DIGITS:
            return False
        return all(self._is_part(part, parts, index, token) for index, part in enumerate(parts))

    def _is_part(self, part: str, parts: list[str], index: int, token: str) -> bool:
        if part[0].isdigit():
            return _is_small(part)
        after_number, before_number = index > 0, index + 1 < len(parts)
        if after_number and part in _set("UNITS"):
            return len(part) > 1 or part in _LETTER_UNITS or len(parts[index - 1]) < len("000")
        if before_number and part in _set("PREFIXES"):
            return len(part) > 1 or part in "btxve" or len(parts[index + 1]) < len("000")
        return len(part) >= _LEAST and (self.is_word(part) or bool(self._kept_letters(_cased(part, token))))


def _drop_names(tokens: list[_Token]) -> None:
    """Take away initials and words that are also names beside a word that went; give eponyms back to their disease."""
    for index, token in enumerate(tokens):
        if not token.kept and folded(token.text) in _set("EPONYMS") and _in_context(tokens, index):
            token.kept = token.text
    gone = [not token.kept and token.text[0].isalpha() for token in tokens]
    for order in (range(len(tokens)), range(len(tokens) - 1, -1, -1)):
        for index in order:
            beside = (index > 0 and gone[index - 1]) or (index + 1 < len(tokens) and gone[index + 1])
            text = tokens[index].text
            if beside and (_is_initial(text) or folded(text) in _set("AMBIGUOUS")):
                tokens[index].kept = ""
                gone[index] = _is_initial(text)


def _camel(token: str) -> Iterator[str]:
    """Take letters apart before each capital that begins a word: kneeMRI, MRIKnee."""
    start = 0
    for at in range(1, len(token)):
        after_small = token[at].isupper() and not token[at - 1].isupper()
        if after_small or (token[at].islower() and at - start > 1 and token[at - 1].isupper()):
            cut = at if after_small else at - 1
            yield token[start:cut]
            start = cut
    yield token[start:]


def _cased(part: str, token: str) -> str:
    at = folded(token).find(part)
    return token[at : at + len(part)]


def _is_initial(text: str) -> bool:
    return len(text) == 1 and text.isupper()


def _in_context(tokens: list[_Token], index: int) -> bool:
    near = tokens[max(index - _CONTEXT_REACH, 0) : index + _CONTEXT_REACH + 1]
    return any(folded(token.text) in _set("CONTEXT") for token in near)


def _is_small(number: str) -> bool:
    whole, *fractions = re.split("[.,]", number)
    return len(whole) <= _LONGEST_NUMBER and all(len(fraction) <= _LONGEST_FRACTION for fraction in fractions)


@lru_cache(maxsize=16384)
def _is_form(plain: str) -> bool:
    every, ambiguous = _set("WORDS"), _set("AMBIGUOUS")
    for end in _ENDINGS:
        stem = plain.removesuffix(end)
        if (
            stem != plain
            and len(stem) >= (_STEM if end in _PLURALS else _LONG_STEM)
            and stem in every
            and stem not in ambiguous
        ):
            return True
    return False


@lru_cache(maxsize=16384)
def _is_compound(plain: str) -> bool:
    """Tell whether a word is made of a prefix or suffix of medicine and a word, or of two or three German elements."""
    if not 2 * _PART <= len(plain) <= _LONGEST_COMPOUND:
        return False
    if plain.endswith(_SUFFIXES) or any(
        plain.startswith(p) and len(plain) - len(p) > _PART and _is_word(plain[len(p) :]) for p in _PREFIXED
    ):
        return True
    return any(_is_element(plain[:at]) and _is_rest(plain[at:]) for at in range(_PART, len(plain) - _PART + 1))


_SUFFIXES = (
    *("itis", "osis", "ectomy", "ektomie", "ostomy", "ostomie", "otomy", "otomie", "graphy", "graphie", "grafia"),
    *("pathy", "pathie", "oscopy", "oskopie", "plasty", "plastik", "plastie", "algia", "algie", "ectasia", "ektasie"),
    *(
        "arthrose",
        "sklerose",
        "stenose",
        "karzinom",
        "carcinoma",
        "sarcoma",
        "sarkom",
        "blastoma",
        "blastom",
        "megalie",
    ),
    *("megaly", "uria", "lysis", "trophy", "trophie", "plasia", "plasie", "gramm", "thorax", "weighted"),
)
_PREFIXED = (
    *(
        "hyper",
        "hypo",
        "para",
        "peri",
        "intra",
        "retro",
        "infra",
        "supra",
        "inter",
        "endo",
        "epi",
        "post",
        "prae",
        "pre",
    ),
    *("sub", "trans", "poly", "multi", "pseudo", "non", "anti", "neo", "extra", "ultra", "micro", "macro", "bi", "uni"),
    *(
        "angio",
        "echo",
        "electro",
        "cardio",
        "osteo",
        "pneumo",
        "broncho",
        "hepato",
        "gastro",
        "neuro",
        "abdomino",
        "ventro",
        "dorso",
        "latero",
        "medio",
        "antero",
        "postero",
        "costo",
        "cranio",
        "cervico",
        "thoraco",
        "lumbo",
    ),
)


def _is_rest(plain: str) -> bool:
    return any(plain.startswith(link) and _is_last(plain[len(link) :]) for link in _LINKS)


def _is_last(plain: str) -> bool:
    if any(plain.endswith(end) and _is_element(plain[: len(plain) - len(end)]) for end in ("", *_ENDINGS)):
        return True
    return any(_is_element(plain[:at]) and _is_element(plain[at:]) for at in range(_PART, len(plain) - _PART + 1))


def _is_element(plain: str) -> bool:
    return plain in _set("ELEMENTS")


def _joined(tokens: list[_Token], rest: str) -> str:
    pieces: list[str] = []
    gap: str | None = None  # separators since the last token that stayed
    for token in tokens:
        gap = token.before if gap is None else _nearer(gap, token.before)
        if token.kept:
            pieces += (gap, token.kept)
            gap = None
    if not pieces:
        return ""
    return "".join((*pieces, rest if gap is None else _nearer(gap, rest)))


def _nearer(first: str, second: str) -> str:
    """Choose one of the separators on both sides of a word that went."""
    if "\n" in first + second:
        return "\n"
    if not (" " in first and " " in second):
        return min(first, second, key=len)
    mark = second.strip()[:1] or first.strip()[:1]
    return f"{mark} " if mark and mark in ".,;:" else f" {mark} " if mark and mark in "-/+&|" else " "


def tidy(text: str) -> str:
    """Take away what a removed word leaves: empty brackets, blanks in a row, separators at the ends."""
    text = _BLANKS.sub(" ", _balanced(_BRACKETS.sub(" ", text)))
    return text.strip(_EDGES)


def _balanced(text: str) -> str:
    """Take away each bracket whose other half went."""
    lone: set[int] = set()
    opened: list[int] = []
    for at, character in enumerate(text):
        if character in _OPENING:
            opened.append(at)
        elif character in _CLOSING:
            if opened and _CLOSING[character] == text[opened[-1]]:
                opened.pop()
            else:
                lone.add(at)
    lone.update(opened)
    return "".join(character for at, character in enumerate(text) if at not in lone) if lone else text


_OPENING = frozenset("([{")
_CLOSING = {")": "(", "]": "[", "}": "{"}
