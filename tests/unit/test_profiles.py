from pathlib import Path

import pytest

from orthanc_deid import profiles, settings
from orthanc_deid.confidentiality.standard.options import Option
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
    research = profiles.load(configured, "research")
    assert {Option.MODIFIED_DATES, Option.CLEAN_DESCRIPTORS, Option.SAFE_PRIVATE} < set(research.options)
    swapped = set(research.options) ^ set(profiles.load(configured, "research-full-dates").options)
    assert swapped == {Option.MODIFIED_DATES, Option.FULL_DATES}


def test_every_shipped_profile_loads(configured: settings.Settings) -> None:
    names = profiles.known(configured)
    assert {"basic", "research", "research-keep-device", "research-keep-uids"} < set(names)
    assert [profiles.load(configured, name).name for name in names] == names


def test_a_missing_profile_names_those_that_exist(configured: settings.Settings) -> None:
    with pytest.raises(ConfigurationError, match=r"no profile is called reserch \(did you mean research\?\)"):
        profiles.load(configured, "reserch")


def test_a_site_profile_is_found_first(configured: settings.Settings) -> None:
    site_profile(configured, 'name: site\nversion: "1"\ntitle: Ours\nnative:\n  Keep: [StudyDescription]\n')
    assert profiles.load(configured, "site").native.Keep == ("StudyDescription",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name: site\nversion: "1"\ntitle: T\nopttions: []\n', r"site.yaml:4: opttions: unknown key"),
        (
            'name: site\nversion: "1"\ntitle: T\noptions:\n  - Clean Pixel Data\n',
            r"site.yaml:4: options: Clean Pixel Data is not",
        ),
        (
            'name: site\nversion: "1"\ntitle: T\nrules:\n  - action: keep\n    match: StationNam\n',
            r"site.yaml:5: rules.0: StationNam is no DICOM keyword \(did you mean StationName\?\)",
        ),
        ('name: site\nversion: "1"\ntitle: T\nbased_on: reserch\n', r"site.yaml:4: based_on: no profile .*research\?"),
        ('name: site\nversion: "1"\ntitle: T\nbased_on: site\n', r"site.yaml:4: based_on: site is based on this one"),
        ('name: other\nversion: "1"\ntitle: T\n', r"site.yaml:1: name: is other"),
    ],
)
def test_a_fault_is_named_by_file_and_line(configured: settings.Settings, text: str, message: str) -> None:
    site_profile(configured, text)
    with pytest.raises(ConfigurationError, match=message):
        profiles.load(configured, "site")


def test_a_profile_is_laid_over_the_one_that_it_is_based_on(configured: settings.Settings) -> None:
    site_profile(configured, 'name: site\nversion: "7"\ntitle: Ours\nbased_on: research\nrefused: instance\n')
    site, research = profiles.load(configured, "site"), profiles.load(configured, "research")
    assert (site.version, site.refused, site.options) == ("7", "instance", research.options)
    assert site.digest != research.digest
