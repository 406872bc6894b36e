"""Clean Descriptors (PS3.15 E.3.6): what identifies goes out of a text, words of the clinic stay.

Three modes: `remove` leaves nothing, `known` takes out what is known of the study and what has the form of an
identifier, `vocabulary` besides takes out every word that is not of the clinic. Whatever the mode, nothing stays that
the search of the result (residual.py) would find: both ask the same matcher.
"""

import datetime as dt
import re
import unicodedata
from collections.abc import Callable, Iterator
from enum import StrEnum

from .identifiers import Identifiers
from .matcher import Span, folded, is_id, matcher
from .vocabulary import Vocabulary, is_ambiguous, is_clinical, tidy

_CACHED = 4096  # texts a cleaner remembers
_LONGEST_CACHED = 1024  # characters
_ROUNDS = 8  # a removal can bring together what is known; a text that is not clean after so many goes as a whole
_OLDEST = 89  # years; above, an age identifies (45 CFR 164.514)
_LONGEST_LIFE = 130
_CENTURY = 50  # two digits of a year below it are of the 21st


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
        dates = _Dates(self._days)
        cleaned = dates.taken_from(self._without_known(_PRIVATE_USE.sub(" ", text)))
        cleaned = self._without_short(_patterned(cleaned))
        if self._mode is Mode.VOCABULARY:
            cleaned = self._vocabulary.cleaned(cleaned)
        cleaned = dates.put_back(cleaned)
        return self._without_known(text if cleaned == text else tidy(cleaned))

    def _without_known(self, text: str) -> str:
        for _ in range(_ROUNDS):
            spans = list(self._matcher.spans(text.strip("\x00 ")))
            if not spans:
                return text
            text = _cut(text.strip("\x00 "), spans)
        return ""

    def _without_short(self, text: str) -> str:
        """Take out names of 2 and 3 letters that are no words of the clinic; the search knows them as a whole only."""
        spans = [
            Span(match.start(), match.end(), "name")
            for match in _LETTERS.finditer(text)
            if len(match[0]) <= _SHORT_NAME and folded(match[0]) in self._short and not is_clinical(match[0])
        ]
        return _cut(text, spans) if spans else text


_LETTERS = re.compile(r"[^\W_]+")
_SHORT_NAME = 3  # letters


def _cut(text: str, spans: list[Span]) -> str:
    pieces: list[str] = []
    end = 0
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if span.end > end:
            pieces.append(text[end : max(span.start, end)])
            end = span.end
    pieces.append(text[end:])
    return tidy(" ".join(pieces))


# Characters without a meaning hold the places of shifted dates while the rest is looked at.
_PRIVATE_USE = re.compile("[\ue000-\uf8ff]+")
_FIRST_PLACE, _PLACES = 0xE000, 0x1900


class _Dates:
    """The full dates of one text, shifted; none is left where days is None."""

    def __init__(self, days: int | None) -> None:
        self._days = days
        self._found: list[str] = []

    def taken_from(self, text: str) -> str:
        """Put a mark for each date that stays and nothing for one that goes."""
        return _DATES.sub(self._mark, text)

    def _mark(self, match: re.Match[str]) -> str:
        date = _date(match, self._days)
        if date == match[0]:
            return date
        if not date or len(self._found) == _PLACES:
            return " "
        self._found.append(date)
        return chr(_FIRST_PLACE + len(self._found) - 1)

    def put_back(self, text: str) -> str:
        """Put the dates in the places of their marks."""
        return _PRIVATE_USE.sub(lambda match: " ".join(self._found[ord(c) - _FIRST_PLACE] for c in match[0]), text)


# --- dates ----------------------------------------------------------------------------------------------------------

_ROWS = (
    "January February March April May June July August September October November December",
    "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
)
_SHORTS = (3, 4)  # letters of a shortened month
# Folded name -> its row and number; full names of the first row that has them win.
_MONTHS: dict[str, tuple[int, int]] = {}
for _length in (None, *_SHORTS):
    for _row, _names_of_row in enumerate(_ROWS):
        for _number, _name in enumerate(_names_of_row.split(), 1):
            _MONTHS.setdefault(folded(_name[:_length]), (_row, _number))

_ACCENTS = {"a": "[aä]", "e": "[eé]", "u": "[uû]", "o": "o"}


def _month_pattern(names: Iterator[str]) -> str:
    spelt = ("".join(_ACCENTS.get(letter, letter) for letter in name) for name in names)
    return "(?:" + "|".join(sorted(spelt, key=len, reverse=True)) + ")"


_MONTH = _month_pattern(iter(_MONTHS))
_LONG_MONTH = _month_pattern(name for name in _MONTHS if len(name) > max(_SHORTS) or name in ("marz", "juni", "juli"))
_YEAR = r"(?:19|20)\d\d"
_ORDINAL = r"(?:st|nd|rd|th|er|º|ª|\.)?"
_NO_UNIT = r"(?!\s?(?:mm|cm|ms|ml|hu|s|x|deg|kv|mas?)(?!\w))"

# Full dates carry names (year, month and day by order of reading), partial ones none.
_DATES = re.compile(
    rf"""
      (?<![^\W_])(?P<compact>{_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]))
        (?P<time>\d{{4}}(?:\d\d(?:\.\d{{1,6}})?)?)?(?![^\W_])
    | (?<![\d.])(?P<y1>{_YEAR})(?P<s1>[-/.])(?P<m1>\d{{1,2}})(?P=s1)(?P<d1>\d{{1,2}})(?!\d)
    | (?<![\d.,/-])(?P<a2>\d{{1,2}})(?P<s2>[-/.]\ ?)(?P<b2>\d{{1,2}})(?P=s2)(?P<y2>{_YEAR}|\d\d)
        (?![\d/]|[.,-]\d){_NO_UNIT}
    | (?<!\w)(?P<d3>\d{{1,2}})(?P<o3>{_ORDINAL}[\s-]{{0,2}}(?:(?:de|of)\s)?)(?P<n3>{_MONTH})
        (?P<p3>\.?[\s,-]{{0,2}}(?:del?\s)?)(?P<y3>{_YEAR}|'?\d\d)(?!\w)
    | (?<!\w)(?P<n4>{_MONTH})(?P<o4>\.?\s{{0,2}})(?P<d4>\d{{1,2}})(?P<p4>{_ORDINAL},?\s{{1,2}})(?P<y4>{_YEAR})(?!\w)
    | (?<!\w){_MONTH}\.?[\s-]{{0,2}}(?:del?\s)?(?:{_YEAR}|'\d\d)(?!\w)
    | (?<!\w)\d{{1,2}}{_ORDINAL}[\s-]{{1,2}}(?:(?:de|of)\s)?{_LONG_MONTH}(?!\w)
    | (?<!\w){_LONG_MONTH}\s\d{{1,2}}{_ORDINAL}(?![\w.,]*\d){_NO_UNIT}
    | (?<![\d./])(?:0?[1-9]|1[0-2])[/.-]{_YEAR}(?!\d|[./-]\d)
    | (?<![\d.]){_YEAR}[-/](?:0[1-9]|1[0-2])(?!\d|[-/.]\d)
    | (?<![^\W_])(?<![.,=/+-])(?P<bare>{_YEAR})(?![^\W_]|[.,]\d|[/x]){_NO_UNIT}
    """,
    re.IGNORECASE | re.VERBOSE,
)
_BIRTH = re.compile(
    r"(?i)(?:dob|born|birth\w{0,6}|geb\w{0,12}|n[ée]e?|naci\w{0,8}|nacimiento|nat[oa]|naiss\w{0,6})[\W\d]{0,12}$"
)
# What a number of four digits is when it stands behind one of these: milliseconds, a b-value, a size.
_PARAMETER = re.compile(
    r"(?i)(?:\b(?:t[eri]|b|bval\w{0,3}|fov|matrix|mb|bw|ww?|wl|l|level|width|img|im|slices?)[\s:=_]{0,2}|\d[\s_/x-]{1,2})$"
)
_NEAR = 24  # characters before a date in which its meaning is looked for


def _date(match: re.Match[str], days: int | None) -> str:
    before = match.string[max(match.start() - _NEAR, 0) : match.start()]
    if match["bare"]:
        return match[0] if _PARAMETER.search(before) else ""
    if days is None or _BIRTH.search(before):
        return ""
    try:
        return _shifted(match, dt.timedelta(days=days)) or ""
    except (ValueError, OverflowError):
        return ""


def _shifted(match: re.Match[str], by: dt.timedelta) -> str | None:
    """Write a full date by so many days later in the notation that it has; None for what is partial or ambiguous."""
    if text := match["compact"]:
        date = dt.date(int(text[:4]), int(text[4:6]), int(text[6:])) + by
        return f"{date.year:04}{date:%m%d}" + (match["time"] or "")
    if match["y1"]:
        date = dt.date(int(match["y1"]), int(match["m1"]), int(match["d1"])) + by
        return match["s1"].join((f"{date.year:04}", _like(date.month, match["m1"]), _like(date.day, match["d1"])))
    if match["y2"]:
        return _shifted_numbers(match, by)
    for form in ("3", "4"):
        if match["n" + form]:
            return _shifted_words(match, form, by)
    return None


def _shifted_numbers(match: re.Match[str], by: dt.timedelta) -> str | None:
    first, second = int(match["a2"]), int(match["b2"])
    day_first = match["s2"].startswith(".") or first > _MONTHS_IN_A_YEAR or first == second
    if not day_first and second <= _MONTHS_IN_A_YEAR:
        return None  # 03/04: Europe and America read it differently
    day, month = (first, second) if day_first else (second, first)
    date = dt.date(_full_year(match["y2"]), month, day) + by
    numbers = (date.day, date.month) if day_first else (date.month, date.day)
    return match["s2"].join(
        (_like(numbers[0], match["a2"]), _like(numbers[1], match["b2"]), _like_year(date.year, match["y2"]))
    )


_MONTHS_IN_A_YEAR = 12


def _shifted_words(match: re.Match[str], form: str, by: dt.timedelta) -> str:
    name = match["n" + form]
    row, month = _MONTHS[folded(name)]
    date = dt.date(_full_year(match["y" + form]), month, int(match["d" + form])) + by
    full = _ROWS[row].split()[date.month - 1]
    shortened = len(name) <= max(_SHORTS) and folded(name) != folded(_ROWS[row].split()[month - 1])
    said = full[: len(name)] if shortened else full
    said = said.upper() if name.isupper() else said.lower() if name.islower() else said.capitalize()
    day, year = _like(date.day, match["d" + form]), _like_year(date.year, match["y" + form])
    parts = (day, match["o" + form], said) if form == "3" else (said, match["o" + form], day)
    return "".join(parts) + match["p" + form] + year


def _like(number: int, text: str) -> str:
    return f"{number:02}" if len(text) > 1 else str(number)


def _full_year(text: str) -> int:
    digits = text.lstrip("'")
    return int(digits) if len(digits) > len("63") else int(digits) + (2000 if int(digits) < _CENTURY else 1900)


def _like_year(year: int, text: str) -> str:
    return f"{year:04}" if len(text) == len("1963") else text[:-2] + f"{year % 100:02}"


# --- what has the form of an identifier -----------------------------------------------------------------------------


def _any(text: str) -> str:
    return "(?:" + "|".join(sorted(text.split(), key=len, reverse=True)) + ")"


_CUE = _any(
    """mrn acc accession accno acc-?no acc-?nr patid patnr patient-?id pat-?id pat-?nr fall-?nr fallnummer case-?no
    nhs ssn svnr ahv nip ipp nhc dni nif codice ref-?nr ref order-?no auftrag auftragsnr id-?nr id nr no num number
    matricule n° # study-?id"""
)
_CALL = _any(
    "tel phone ph fon telefon telefono tél téléphone teléfono mobile mobil handy cell fax pager call ext durchwahl"
)
_STREET = r"(?:stra(?:ß|ss)e|str\.?|gasse|weg|platz|allee|damm|ufer|ring|chaussee)"
_ROAD = _any("street st road rd avenue ave blvd boulevard lane ln drive court way square sq highway hwy terrace")
_RUE = _any("rue avenue av boulevard bd place chemin allée allee impasse quai cours route")
_CALLE = _any("calle c/ avenida avda av plaza paseo ronda via viale piazza corso largo rua")
_OF = r"(?:(?:de|du|des|del|la|las|le|les|los|di|da|dei|delle|do|d['\u2019]|l['\u2019])\s{0,2}){0,3}"
_UNITS = r"(?:mm|cm|ml|ms|HU|Hz|kHz|Bq|kBq|MBq|mGy|g|mg|µg)"

# What goes, in this order. Each is read in time that grows with the text only: nothing in it repeats without bound.
_REMOVED = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?<![\w.+-])[\w.+-]{1,64}\s?@\s?[\w-]{1,63}(?:\.[\w-]{1,63}){0,8}",  # mail address
        r"(?i)(?<!\w)(?:[a-z]{2,8}://|www\.)[^\s\"'<>]{1,2000}",
        r"(?<![0-9.])[0-9]{1,64}(?:\.[0-9]{1,64}){4,32}",  # a UID; an IPv4 address has 4 numbers
        r"(?<![\w.])\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?![\w.])",
        r"(?i)(?<!\w)(?:[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9a-f]{24,64})(?!\w)",
        rf"(?i)(?<!\w){_CUE}(?!\w)\s{{0,2}}[.:=#-]{{0,3}}\s{{0,2}}(?=[\w/-]{{0,24}}\d)[\w/-]{{4,40}}",
        r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])",  # United States social security number
        r"(?<![\w.-])756\.\d{4}\.\d{4}\.\d{2}(?!\w)",  # Swiss one
        rf"(?i)(?<!\w){_CALL}(?!\w)[.:\s]{{0,4}}\+?[\d()][\d ()/.-]{{2,24}}\d",
        r"(?<![\w.,])(?:\+|00)\d{1,3}[ ()/.-]{0,3}\d[\d ()/.-]{5,20}\d(?!\w)",
        r"(?<![\w.,])\(?0\d{1,5}\)?[ /.-]{1,3}\d[\d ./-]{3,16}\d(?!\w)",
        r"(?<![\w.,])\(\d{2,5}\)[ -]{0,2}\d[\d ./-]{3,16}\d(?!\w)",
        r"(?<![\w.,-])\d{3}[-.]\d{3}[-.]\d{4}(?![\w-])",
        (
            rf"(?i)(?<![\w.])\d{{1,4}},?\s{{1,2}}(?:bis\s)?{_RUE}\s{{1,2}}{_OF}[^\W\d_]{{2,30}}"
            r"(?:[ -](?-i:[A-ZÀ-Ý][a-zà-ÿ]{1,30})){0,3}"
        ),
        (
            rf"(?i)(?<!\w){_CALLE}\.?\s{{0,2}}{_OF}(?-i:[A-ZÀ-Ý])[^\W\d_]{{1,30}}"
            r"(?:\s[^\W\d_]{2,30}){0,2},?\s{0,2}(?:n[º°o.]?\s?)?\d{1,4}(?!\w)"
        ),
        r"(?<![\w.,])(?:[A-Z]{1,2}[- ])?\d{5}(?:-\d{4})?,?\s[A-ZÄÖÜ][^\W\d_]{2,30}",  # postal code and town
    )
)
_REMOVED_LAST = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?<![\w.,])\d{{5,}}(?!\w|[.,]\d|\s?{_UNITS}(?!\w))",
        r"(?<![^\W_])[^\W_]{65,}",  # no word is that long
    )
)
# What goes unless its words are of the clinic: "Monitoring 10", "5 mm square", "CT 12345".
_STREETS = (
    re.compile(rf"(?i)(?<!\w)(?P<words>[^\W\d_]{{2,30}}?[ -]?{_STREET})\s{{0,2}}\d{{1,4}}\s?[a-z]?(?!\w)"),
    re.compile(
        r"(?i)(?<![\w.])\d{1,5}\s{1,2}"
        rf"(?P<words>(?:[^\W\d_][\w'\u2019-]{{0,20}}\.?\s{{1,2}}){{1,3}}?){_ROAD}(?!\w)\.?"
    ),
)
_NUMBERED = re.compile(rf"(?<![^\W_])([A-Za-z]{{1,8}})([-_/ ])\d{{5,}}(?!\d|[.,]\d|\s?{_UNITS}(?!\w))")
_AGES = tuple(
    re.compile(pattern)
    for pattern in (
        (
            r"(?i)(?<![\w.,])(?P<age>\d{2,3})(?=[\s-]{0,2}(?:y[\s./-]?o|years?|yrs?|y"
            r"|jahre?n?|j(?:ä|ae)hr\w{0,6}|j|ans|años|anos|anni)(?!\w))"
        ),
        r"(?i)(?<!\w)(?:aged?|alter|âge|edad|et(?:à|a)|alter von|age of)[\s:=]{1,3}(?P<age>\d{2,3})(?![\w.])",
        r"(?<![\w.,-])(?P<age>\d{2,3})(?=[MFW](?!\w)|\s(?:male|female|M|F)(?!\w))",
        r"(?i)(?<![\w.])(?P<age>\d{3})(?=y(?!\w))",
    )
)
_MANY_DIGITS = re.compile(r"(?<![^\W_])(?=[^\W_]{6,64}(?![^\W_]))(?:[^\W\d_]{0,8}\d){5,64}[^\W_]{0,20}")
_STEPS = re.compile(r"(?<![\w.,])(?:\d{1,4}[ -]){2,5}\d{1,4}(?![\w.,])")
_CLINIC = Vocabulary()
_SIZES = frozenset({64, 96, 128, 192, 256, 320, 384, 448, 512, 768, 1024})


def _patterned(text: str) -> str:
    """Take out what looks like an identifier; make high ages 90+."""
    before = text
    for pattern in _REMOVED:
        text = pattern.sub(" ", text)
    for pattern in _STREETS:
        text = pattern.sub(_unless_clinical, text)
    text = _NUMBERED.sub(lambda match: match[1] if match[2] == " " and is_clinical(match[1]) else " ", text)
    for pattern in _REMOVED_LAST:
        text = pattern.sub(" ", text)
    for pattern in _AGES:
        text = pattern.sub(_age, text)
    text = _STEPS.sub(lambda match: match[0] if _is_steps(match[0]) else " ", text)
    text = _MANY_DIGITS.sub(lambda match: match[0] if _is_measure(match[0]) else " ", text)
    spans = [*_persons(text), *_houses(text)]
    return _cut(text, spans) if spans else text if text == before else tidy(text)


def _unless_clinical(match: re.Match[str]) -> str:
    words = _LETTERS.findall(match["words"])
    return match[0] if all(_CLINIC.kept(word) == word for word in words) else " "


def _age(match: re.Match[str]) -> str:
    at = match.start("age") - match.start()
    return match[0][:at] + ("90+" if _OLDEST < int(match["age"]) <= _LONGEST_LIFE else match["age"])


def _is_steps(text: str) -> bool:
    """Tell whether numbers in a row are b-values, angles or matrix sizes and no number written with blanks."""
    numbers = [int(number) for number in re.split("[ -]", text)]
    few = sum(map(str.isdigit, text)) < len("7654321")
    return few or all(number % 10 == 0 or number in _SIZES for number in numbers)


_MATRIX = re.compile(r"(?i)\d{1,4}(?:x\d{1,4}){1,3}")


def _is_measure(token: str) -> bool:
    """Tell whether a token of letters and many digits is made of short numbers: t1fl3dfs15fa."""
    if _MATRIX.fullmatch(token):
        return True
    numbers = re.findall(r"\d+", token)
    return max(map(len, numbers)) < len("12345") and len(numbers) > sum(map(len, numbers)) / 2.5


# --- persons and houses ---------------------------------------------------------------------------------------------


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


def _persons(text: str) -> Iterator[Span]:
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


def _houses(text: str) -> Iterator[Span]:
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
