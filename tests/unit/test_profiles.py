from pathlib import Path

import pytest

from orthanc_deid import profiles, settings
from orthanc_deid.confidentiality.options import Option
from orthanc_deid.errors import ConfigurationError


@pytest.fixture
def configured(tmp_path: Path) -> settings.Settings:
    (tmp_path / "deid.yaml").write_text("")
    (tmp_path / "profiles").mkdir()
    return settings.load({"ORTHANC_DEID_HOME": str(tmp_path), "ORTHANC_DEID_CONFIG": str(tmp_path / "deid.yaml")})


def site_profile(configured: settings.Settings, text: str) -> None:
    (configured.config_file.parent / "profiles" / "site.yaml").write_text(text)


def test_the_shipped_profiles_load(configured: settings.Settings) -> None:
    assert profiles.load(configured, "basic").options == ()
    assert profiles.load(configured, "research").options == (Option.MODIFIED_DATES, Option.PATIENT_CHARACTERISTICS)


def test_a_missing_profile_names_those_that_exist(configured: settings.Settings) -> None:
    with pytest.raises(ConfigurationError, match=r"no profile is called reserch \(known: basic, research\)"):
        profiles.load(configured, "reserch")


def test_a_site_profile_is_found_first(configured: settings.Settings) -> None:
    site_profile(configured, 'name: site\nversion: "1"\ntitle: Ours\nnative:\n  Keep: [StudyDescription]\n')
    assert profiles.load(configured, "site").native.Keep == ("StudyDescription",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name: site\nversion: "1"\ntitle: T\nopttions: []\n', r"site.yaml:4: opttions: unknown key"),
        (
            'name: site\nversion: "1"\ntitle: T\noptions:\n  - Retain UIDs\n',
            r"site.yaml:4: options: Retain UIDs is not",
        ),
        ('name: other\nversion: "1"\ntitle: T\n', r"site.yaml:1: name: is other"),
    ],
)
def test_a_fault_is_named_by_file_and_line(configured: settings.Settings, text: str, message: str) -> None:
    site_profile(configured, text)
    with pytest.raises(ConfigurationError, match=message):
        profiles.load(configured, "site")
