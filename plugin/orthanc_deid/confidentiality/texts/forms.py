"""What has the form of an identifier, whoever it belongs to: numbers, addresses, mails, ages; and named persons."""

import re

from .matcher import Span
from .persons import houses, persons
from .vocabulary import Vocabulary, is_clinical, tidy

_OLDEST = 89  # years; above, an age identifies (45 CFR 164.514)
_LONGEST_LIFE = 130
LETTERS = re.compile(r"[^\W_]+")


def cut(text: str, spans: list[Span]) -> str:
    """Take spans out of a text."""
    pieces: list[str] = []
    end = 0
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if span.end > end:
            pieces.append(text[end : max(span.start, end)])
            end = span.end
    pieces.append(text[end:])
    return tidy(" ".join(pieces))


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


def patterned(text: str) -> str:
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
    spans = [*persons(text), *houses(text)]
    return cut(text, spans) if spans else text if text == before else tidy(text)


def _unless_clinical(match: re.Match[str]) -> str:
    words = LETTERS.findall(match["words"])
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
