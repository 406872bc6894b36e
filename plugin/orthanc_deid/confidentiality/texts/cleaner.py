"""Clean Descriptors (PS3.15 E.3.6): what identifies goes out of a text, words of the clinic stay.

Three modes: `remove` leaves nothing, `known` takes out what is known of the study and what has the form of an
identifier, `vocabulary` besides takes out every word that is not of the clinic. Whatever the mode, nothing stays that
the search of the result (residual.py) would find: both ask the same matcher.
"""

import unicodedata
from collections.abc import Callable
from enum import StrEnum

from ..identifiers import Identifiers
from .dates_in_text import PRIVATE_USE, Dates
from .forms import LETTERS, cut, patterned
from .matcher import Span, folded, is_id, matcher
from .vocabulary import Vocabulary, is_clinical, tidy

_CACHED = 4096  # texts a cleaner remembers
_LONGEST_CACHED = 1024  # characters
_ROUNDS = 8  # a removal can bring together what is known; a text that is not clean after so many goes as a whole


class Mode(StrEnum):
    """What happens to a text that a person wrote."""

    REMOVE = "remove"
    KNOWN = "known"
    VOCABULARY = "vocabulary"


class Cleaner:
    """Cleans the texts of one study; it remembers its answers.

    `days` is by how much dates in a text are shifted, None drops them; `words` are a site's own clinical words.
    """

    def __init__(
        self, mode: Mode, known: Identifiers, *, days: int | None, words: frozenset[str] = frozenset()
    ) -> None:
        self._mode = mode
        self._matcher = matcher(known)
        self._days = days
        self._vocabulary = Vocabulary(words)
        self._short = {folded(name) for name in known.names} | {folded(text) for text in known.ids if is_id(text)}
        self._cleaned: dict[str, str] = {}
        self._screened: dict[str, str] = {}

    def clean(self, text: str) -> str:
        """Clean a text that a person wrote; nothing is left of one that held nothing else."""
        return self._remembered(self._cleaned, text, self._clean)

    def screen(self, text: str) -> str:
        """Take out only what is known of the study; the same object when there is nothing."""
        return self._remembered(self._screened, text, self._without_known)

    def knows_number(self, value: bytes) -> bool:
        """Tell whether one of the values of DS or IS is known as a whole."""
        return self._matcher.number(value) is not None

    def _remembered(self, answers: dict[str, str], text: str, work: Callable[[str], str]) -> str:
        if not text:
            return text
        answer = answers.get(text)
        if answer is None:
            parts = text.split("\\")
            done = [work(part) for part in parts]
            answer = text if done == parts else "\\".join(done)
            if not answer.strip("\\ "):
                answer = ""
            answer = self._proved(answer)
            if len(text) <= _LONGEST_CACHED:
                if len(answers) >= _CACHED:
                    answers.clear()
                answers[text] = answer
        return text if answer == text else answer

    def _proved(self, answer: str) -> str:
        """Let nothing pass that the search would find in the text as a whole, where a backslash parts no values."""
        return "" if self._matcher.kind(answer.strip("\x00 ")) else answer

    def _clean(self, text: str) -> str:
        if self._mode is Mode.REMOVE:
            return ""
        text = unicodedata.normalize("NFC", text)
        dates = Dates(self._days, self._matcher.birth)
        cleaned = dates.taken_from(self._without_known(PRIVATE_USE.sub(" ", text)))
        cleaned = self._without_short(patterned(cleaned))
        if self._mode is Mode.VOCABULARY:
            cleaned = self._vocabulary.cleaned(cleaned)
        cleaned = dates.put_back(cleaned)
        return self._without_known(text if cleaned == text else tidy(cleaned))

    def _without_known(self, text: str) -> str:
        for _ in range(_ROUNDS):
            spans = list(self._matcher.spans(text.strip("\x00 ")))
            if not spans:
                return text
            text = cut(text.strip("\x00 "), spans)
        return ""

    def _without_short(self, text: str) -> str:
        """Take out names of 2 and 3 letters that are no words of the clinic; the search knows them as a whole only."""
        spans = [
            Span(match.start(), match.end(), "name")
            for match in LETTERS.finditer(text)
            if len(match[0]) <= _SHORT_NAME and folded(match[0]) in self._short and not is_clinical(match[0])
        ]
        return cut(text, spans) if spans else text


_SHORT_NAME = 3  # letters
