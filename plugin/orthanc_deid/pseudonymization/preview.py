"""What studies would be called, before anything runs: nothing is made, given or kept."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..database.crosswalk import Known
from ..errors import Rejected
from .base import Asked, Given, Missing
from .pseudonymizer import OTHERWISE, Pseudonymizer, agree, fault

NEXT = "+"  # stands for a number that nobody has yet


@dataclass(frozen=True, repr=False)
class Question:
    """A study of a project."""

    asked: Asked
    study_uid: str
    listed: str = ""  # the pseudonym that a person's list gives


@dataclass(frozen=True, repr=False)
class Foreseen:
    """What a study would be called, and why it would not; an empty session is called by its date."""

    pseudonym: str = ""
    subject: str = ""
    session: str = ""
    is_given: bool = False  # by an earlier run
    no_subject: str = ""  # why
    no_session: str = ""


def foresee(pseudonymizer: Pseudonymizer, project: str, questions: Sequence[Question]) -> list[Foreseen]:
    """Answer for each study of a project, in order; the source is asked once for all whom it must name.

    Raises
    ------
    Retriable
        The source of pseudonyms does not answer.
    ConfigurationError
        It is not set up.
    """
    formers = [each.asked for each in questions]
    questions = [replace(each, asked=pseudonymizer.presented(project, each.asked)) for each in questions]
    knows = pseudonymizer.knows(project)
    found: list[Foreseen | None] = []
    said: list[Given | Missing | None] = []  # what needs no question to the source
    for each in questions:
        known = pseudonymizer.known(project, each.asked.patient)
        found.append(_given_before(pseudonymizer, project, each, known))
        said.append(_said(each, known, knows=knows))
    wanted = [each.asked for each, done, given in zip(questions, found, said, strict=True) if not (done or given)]
    answers = iter(pseudonymizer.preview(project, wanted) if wanted else ())
    return [
        done or _new(pseudonymizer, project, each, given or next(answers), former)
        for each, done, given, former in zip(questions, found, said, formers, strict=True)
    ]


def _said(question: Question, known: Known | None, *, knows: bool) -> Given | None:
    if question.listed:
        return Given(question.listed, known.offset_days if known else None, known.subject if known else "")
    return Given(known.pseudonym, known.offset_days, known.subject) if known and knows else None


def _given_before(
    pseudonymizer: Pseudonymizer, project: str, question: Question, known: Known | None
) -> Foreseen | None:
    """Return what was kept when the study was named; None where it was not."""
    if known is None:
        return None
    kept = pseudonymizer.crosswalk.labels(project, known.pseudonym, source=question.study_uid)
    if kept is None:
        return None
    return Foreseen(known.pseudonym, kept[0] or known.pseudonym, kept[1], is_given=True)


def _new(
    pseudonymizer: Pseudonymizer, project: str, question: Question, given: Given | Missing, former: Asked
) -> Foreseen:
    """Judge a study that was not named yet as `name` would."""
    known = pseudonymizer.known(project, question.asked.patient)
    if isinstance(given, Missing):
        return Foreseen(no_subject=given.reason)
    if wrong := fault(given, question.asked) or fault(given, former):
        return Foreseen(no_subject=wrong)
    if known and not agree(given, known):
        return Foreseen(no_subject=OTHERWISE.format("the list" if question.listed else "the source of pseudonyms"))
    subject = given.subject or (known.subject if known else "") or given.pseudonym
    found = Foreseen(given.pseudonym, subject, is_given=known is not None)
    try:
        # The next number is none yet; whatever it will be, it makes a label.
        named = replace(given, pseudonym=given.pseudonym.replace(NEXT, "0"), subject=subject.replace(NEXT, "0"))
        session = pseudonymizer.session(project, question.asked, named)
    except Rejected as error:
        return replace(found, no_session=str(error))
    return replace(found, session=session)
