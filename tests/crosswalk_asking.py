"""Processes that ask for the pseudonyms of the same patients at once, from the same moment.

    python crosswalk_asking.py URL HOME KIND PROCESSES ASKS PATIENTS

Prints as JSON what each patient was called, an object for each process. What is imported is imported once; each
process then has its own connections and keyring.
"""

import json
import multiprocessing
import random
import sys
from pathlib import Path

from orthanc_deid.confidentiality.pseudonyms import Patient
from orthanc_deid.database import open_database
from orthanc_deid.database.crosswalk import Crosswalk, Identity, Known
from orthanc_deid.keyring import Keyring
from orthanc_deid.pseudonymization import KINDS, Asked, Given, PseudonymSource, Tools
from orthanc_deid.settings.pseudonyms import DerivedPseudonyms, SequencePseudonyms

PROJECT = "trial"
SETTINGS = {"sequence": SequencePseudonyms(kind="sequence"), "derived": DerivedPseudonyms()}
FORK = multiprocessing.get_context("fork")
WAIT_S = 120


def ask(walk: Crosswalk, source: PseudonymSource, number: int) -> str:
    """Answer what a patient is called, as the pseudonymizer finds out."""
    identity = Identity("", f"MRN-{number}")
    known = walk.patient(PROJECT, identity)
    if known is None:
        (given,) = source.give([Asked(Patient("", identity.patient_id), lambda _name: "")])
        assert isinstance(given, Given)
        known = walk.assign(PROJECT, Known(0, identity, given.pseudonym))
    return known.pseudonym


def process(number: int, begin: object, words: list[str], answers: object) -> None:
    """Ask for patients at random; fail where one is called differently the second time."""
    url, home, kind = words[:3]
    processes, asks, patients = map(int, words[3:])
    ring = Keyring(Path(home))
    engine = open_database(url, ring.audit())
    walk = Crosswalk(engine, ring)
    begin.wait(WAIT_S)  # type: ignore[attr-defined]  # a Barrier
    source = KINDS[kind](SETTINGS[kind], Tools(PROJECT, ring.project(PROJECT), walk, Path(home)))
    draw, found = random.Random(number), dict[str, str]()
    for _ in range(asks // processes):
        patient = draw.randrange(patients)
        called = ask(walk, source, patient)
        assert found.setdefault(f"MRN-{patient}", called) == called
    engine.dispose()
    answers.put(found)  # type: ignore[attr-defined]  # a Queue


def main(words: list[str]) -> list[dict[str, str]]:
    """Start the processes and wait for all answers."""
    begin, answers = FORK.Barrier(int(words[3])), FORK.Queue()
    started = [FORK.Process(target=process, args=(n, begin, words, answers), daemon=True) for n in range(int(words[3]))]
    for each in started:
        each.start()
    return [answers.get(timeout=WAIT_S) for _ in started]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1:])))
