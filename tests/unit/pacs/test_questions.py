from collections.abc import Mapping

from orthanc_deid.pacs.base import Level, Wanted
from orthanc_deid.pacs.matching import Answer
from orthanc_deid.pacs.questions import Questions


def test_an_archive_that_counts_nothing_does_not_say_that_a_study_is_empty() -> None:
    def ask(level: Level, _keys: Mapping[str, str]) -> list[Answer]:
        study = {"StudyInstanceUID": "1.2", "PatientID": "p", "NumberOfStudyRelatedInstances": "0"}
        series = {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.2.3", "NumberOfSeriesRelatedInstances": "4"}
        answers: dict[Level, list[Answer]] = {"study": [study], "series": [series], "instance": []}
        return answers[level]

    questions = Questions(ask)
    (found,) = questions.find(Wanted("study", {"StudyInstanceUID": "1.2"}))
    assert found.instances is None  # else nothing at all would be all that there is
    assert questions.count("1.2") == 4
