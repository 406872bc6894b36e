import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orthanc_deid.confidentiality.texts import generate_vocabulary, vocabulary, vocabulary_data
from orthanc_deid.confidentiality.texts.vocabulary import Vocabulary, is_ambiguous, is_clinical, is_defined_term

CLINIC = Vocabulary()
SETS = ("WORDS", "CODES", "UNITS", "PREFIXES", "AMBIGUOUS", "EPONYMS", "CONTEXT", "ELEMENTS", "GENERIC", "TERMS")


@pytest.mark.parametrize(
    "text",
    [
        "t1_mprage_sag_p2_iso_1.0",
        "AX T2 FLAIR FS",
        "CT Thorax/Abdomen mit KM",
        "ep2d_diff_b1000_ADC",
        "5.0 B30f",
        "Head 4.0 H31s",
        "Lung 1.0 FC51",
        "3mm",
        "TE=90ms",
        "L4/5",
        "2.5x2.5x3",
        "FOV 240x240",
        "*tfl3d1_16ns",
        "kneeMRI",
        "MRKnee",
        "Kniegelenkserguss",
        "Lungenrundherd links",
        "SCHAEDEL SCHÄDEL Schadel",
        "IRM cérébrale sans injection",
        "RM de rodilla izquierda",
        "Achilles tendon tear",
        "Wilson disease",
        "short axis, long axis",
        "T1 map (native)",
        "t2_tirm_tra_dark-fluid_",
    ],
)
def test_descriptors_stay_as_they_are(text: str) -> None:
    assert CLINIC.cleaned(text) == text


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("Kowalczyk knee", "knee"),
        ("CT_Kowalczyk_abd", "CT_abd"),
        ("KowalczykKnee", "Knee"),
        ("kowalczyk", ""),
        ("Петрова МРТ", ""),  # noqa: RUF001  # Cyrillic letters are meant
        ("田中 CT", "CT"),
        ("CT (Kowalczyk) head", "CT head"),
        ("head, Kowalczyk, knee", "head, knee"),
        ("J. Kowalczyk head", "head"),
        ("Kowalczyk, J.R. head", "head"),
        ("Kowalczyk Long head", "head"),
        ("head 12345", "head"),
        ("AB123456 head", "head"),
        ("JS042 head", "head"),
        ("Wilson head", "head"),
        ("one\nKowalczyk\ntwo", "one\ntwo"),
    ],
)
def test_what_is_not_of_the_clinic_goes(text: str, rest: str) -> None:
    assert CLINIC.cleaned(text) == rest


def test_a_word_that_is_also_a_name_stays_beside_words_of_the_clinic() -> None:
    assert is_ambiguous("Long")
    assert CLINIC.cleaned("Long axis") == "Long axis"


def test_a_sites_own_words_stay() -> None:
    assert Vocabulary(frozenset({"Zzyzx", "Q7Z9Q"})).cleaned("ZZYZX q7z9q Kowalczyk") == "ZZYZX q7z9q"


def test_defined_terms_are_whole_values_in_any_case() -> None:
    assert is_defined_term("HEAD")
    assert is_defined_term(" head ")
    assert not is_defined_term("HEADER")


def test_names_of_people_are_not_in_the_vocabulary() -> None:
    names = """garcia nguyen schmidt dubois rossi kowalski johnson patel ivanov yilmaz maria hans giuseppe hadlock
        takahashi wong hernandez lefebvre esposito gunther ursula wolfgang francoise"""
    assert not [name for name in names.split() if is_clinical(name)]


def test_words_of_breeds_and_towns_of_the_standard_are_not_either() -> None:
    assert not [word for word in ("dachshund", "landrace", "shetland", "hospital", "street") if is_clinical(word)]


def test_the_data_is_what_the_generator_makes(tmp_path: Path) -> None:
    target = tmp_path / "made.py"
    command = [sys.executable, generate_vocabulary.__file__, str(target)]
    subprocess.run(command, check=True, timeout=60)
    assert target.read_text(encoding="utf-8") == Path(vocabulary_data.__file__).read_text(encoding="utf-8")


def test_the_data_is_sorted_folded_and_without_repetition() -> None:
    for name in SETS:
        words = getattr(vocabulary_data, name).split()
        assert words == sorted(set(words))
        assert name == "TERMS" or words == [vocabulary.folded(word) for word in words]


def test_the_words_load_in_a_moment() -> None:
    best = min(_load() for _ in range(5))
    assert best < 0.015


def _load() -> float:
    began = time.perf_counter()
    for name in SETS:
        frozenset(getattr(vocabulary_data, name).split())
    return time.perf_counter() - began


@given(st.text())
def test_any_text_gives_a_text_of_its_own_tokens(text: str) -> None:
    cleaned = CLINIC.cleaned(text)
    assert len(cleaned) <= len(text) * 4
    assert CLINIC.cleaned(cleaned) in (cleaned, CLINIC.cleaned(CLINIC.cleaned(cleaned)))
