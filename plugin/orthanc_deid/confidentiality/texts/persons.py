"""Persons and houses that a text names without a field that knows them: titles with names, "Hospital of ..."."""

import re
from collections.abc import Iterator

from .matcher import Span, folded
from .vocabulary import is_ambiguous, is_clinical


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TITLES = _set(
    """dr dra drs doctor docteur dottore dottoressa dott prof professor mr mrs ms miss mister herr herrn frau mme mlle
    monsieur madame mademoiselle senor senora srta sra sig signor signora signore m sr oberarzt chefarzt schwester
    pfleger nurse sister pd priv doz"""
)
_DOTTED = frozenset({"m", "sr", "ms", "sig", "sra", "pd", "drs"})  # titles only with a dot, in capitals
_BETWEEN = frozenset({"med", "dent", "vet", "rer", "nat", "habil", "univ", "hc", "h", "c", "ing", "dipl", "phil", "et"})
_PARTICLES = _set("von van der den de la le du di del della da al el bin ibn ben zu zum zur st mc mac o d san")
_NO_NAMES = _TITLES | _BETWEEN
_CUES = re.compile(
    r"(?i)(?<!\w)(?:(?:patient(?:'s)?|pat|pt|full|last|first|family|given)?\s?(?:name|nom|nombre|cognome|nome|nachname"
    r"|vorname|pr[ée]nom|surname|apellidos?)|patient(?:in|e)?|pat|pt|operator|tech(?:nologist)?|mtra?|untersucher(?:in)?"
    r"|befunder(?:in)?|zuweiser(?:in)?|einsender(?:in)?|arzt|hausarzt|[äa]rztin|m[ée]dec?in|m[ée]dico|physician"
    r"|radiologist|author|verified|signed|contact|requester|referrer|consultant|nurse|surgeon)\s{0,2}[:=]\s{0,2}"
    r"|(?<!\w)(?:referred|requested|performed|reported|read|signed|dictated|verified|seen|scanned|reviewed|approved"
    r"|[üu]e?berwiesen|angefordert|befundet|untersucht|gez|adress[ée]e?|demand[ée]e?|solicitado|firmado|realizado|refertato"
    r"|richiesto|eseguito|called|discussed|besprochen|informed|d/w|per|c/o|attn)\.?\s(?:by\s|von\s|durch\s|par\s|por\s"
    r"|da\s|to\s|with\s|mit\s){0,1}"
)
_NAME = re.compile(r"[\s.,]{0,3}([^\W\d_]+(?:['\u2019-][^\W\d_]+){0,3})")
_TITLE = re.compile(r"(?<![^\W_])([^\W\d_]{1,12})(\.?)(?=[\s.]|$)")
_MOST_NAMES, _MOST_WORDS = 4, 12
_ENDS_OF_NAMES = (":", ";", "(")


def persons(text: str) -> Iterator[Span]:
    """Find names behind titles and cues."""
    for match in _TITLE.finditer(text):
        title = folded(match[1])
        if title not in _TITLES or (title in _DOTTED and not (match[2] and match[1][0].isupper())):
            continue
        bound = match[1].islower() or (match[1].isupper() and len(match[1]) > 1 and not match[2])
        end = _names_end(text, match.end(), certain=not bound)
        if end > match.end():
            yield Span(match.start(), end, "name")
    for match in _CUES.finditer(text):
        end = _names_end(text, match.end(), certain=False)
        if end > match.end():
            yield Span(match.end(), end, "name")


def _names_end(text: str, at: int, *, certain: bool) -> int:
    """Answer where the names end that begin at a place, the place itself where there are none.

    `certain`: the first word is a name even where it is also one of the clinic.
    """
    end, names = at, 0
    for _ in range(_MOST_WORDS):
        match = _NAME.match(text, at)
        if not match or names == _MOST_NAMES:
            break
        word, plain, at = match[1], folded(match[1]), match.end()
        if (not names and (plain in _NO_NAMES or _is_initial(word, text, at))) or plain in _PARTICLES:
            continue
        if not _is_named(word, first=not names, certain=certain):
            break
        end, names = at, names + 1
        if text[at : at + 1] in _ENDS_OF_NAMES:
            break
    return end


def _is_initial(word: str, text: str, end: int) -> bool:
    return len(word) == 1 and word.isupper() and text[end : end + 1] == "."


def _is_named(word: str, *, first: bool, certain: bool) -> bool:
    lone = len(word) == 1
    if first and certain:
        return word[0].isupper() or not word.isascii() or not is_clinical(word)
    if first:
        return not is_clinical(word) and not lone
    return not word[0].islower() and (lone or not is_clinical(word) or (is_ambiguous(word) and word.istitle()))


_HOUSE = re.compile(
    r"(?i)(?<!\w)(?:hospitals?|clinics?|klinik(?:en|um)?|uni-?klinik(?:um)?|universit(?:y|ät|aet|é|e|at|à|ario|arios?)\w{0,12}"
    r"|universidad|krankenhaus|spital|infirmary|h[ôo]pital|clinique|cl[ií]nica|ospedale|policlinico|polyclinic|sanatorium"
    r"|chu|chru|charité|health\s?care|health system|institut[eo]?|praxis|medical cent(?:er|re)|imaging cent(?:er|re)"
    r"|cent(?:er|re|ro)|zentrum|mvz|foundation|stiftung)(?!\w)"
)
_HOUSE_WORD = re.compile(r"[\s,]{1,2}([^\W\d_][\w'\u2019-]{0,30}\.?)")
_BEFORE_HOUSE = re.compile(r"([^\W\d_][^\W_]{0,30}(?:['\u2019-][^\W_]{1,30})?\.?)[\s-]{1,2}$")
_HOUSE_LINKS = _PARTICLES | _set("of des dell dello am im in fur for and und sankt santa general medical")
_WIDEST = 64  # characters


def houses(text: str) -> Iterator[Span]:
    """Find institutions by what they call themselves, with the words of their names."""
    for match in _HOUSE.finditer(text):
        start, end = _house_start(text, match.start()), _house_end(text, match.end())
        if start < match.start() or end > match.end():
            yield Span(start, end, "place")


def _house_start(text: str, start: int) -> int:
    for _ in range(_MOST_NAMES):
        before = _BEFORE_HOUSE.search(text, max(start - _WIDEST, 0), start)
        word = before[1].rstrip(".") if before else ""
        if not before or word[0].islower() or (is_clinical(word) and folded(word) not in _HOUSE_LINKS):
            break
        start = before.start()
    return start


def _house_end(text: str, end: int) -> int:
    at = end
    for _ in range(_MOST_NAMES + 1):
        after = _HOUSE_WORD.match(text, at)
        word = after[1].rstrip(".") if after else ""
        if not after:
            break
        if folded(word) in _HOUSE_LINKS and word[0].islower():
            at = after.end()
        elif word[0].isupper() and not is_clinical(word):
            at = end = after.end()
        else:
            break
    return end
