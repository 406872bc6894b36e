import inspect

from fake_archive import FakeArchive
from orthanc_deid.orthanc_rest import Orthanc

OF_THE_TEST = {"change", "arrive"}


def test_the_stand_in_has_the_signatures_of_the_real_one() -> None:
    methods = [
        name
        for name, value in vars(FakeArchive).items()
        if inspect.isfunction(value) and not name.startswith("_") and name not in OF_THE_TEST
    ]
    assert len(methods) == 9
    for name in methods:
        assert inspect.signature(getattr(FakeArchive, name)) == inspect.signature(getattr(Orthanc, name)), name
