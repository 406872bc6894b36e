import pytest

from orthanc_deid.errors import Rejected
from orthanc_deid.pacs import uids
from orthanc_deid.pacs.questions import Questions


@pytest.mark.parametrize("uid", ["1.2\\1.3", "1.2*", "../../studies", "1.2 1.3", "1." * 33, "1.2\n"])
def test_what_is_not_one_uid_is_asked_for_nowhere(uid: str) -> None:
    asked: list[object] = []
    questions = Questions(lambda *question: asked.append(question) or [])  # type: ignore[func-returns-value]  # notes it
    for ask in (questions.count, questions.series, questions.instances):
        with pytest.raises(Rejected, match="not one UID"):
            ask(uid)
    with pytest.raises(Rejected, match="not one UID"):
        uids.demand("1.2", "", uid)
    assert asked == []


def test_uids_pass() -> None:
    uids.demand("1.2.840.10008.5.1.4", "2.25.1", "")
