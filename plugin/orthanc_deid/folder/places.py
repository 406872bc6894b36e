"""Which folders may be named together: nothing identified inside OUT, and IN is never changed."""

from pathlib import Path

from ..errors import ConfigurationError


def check(source: Path, out: Path, mapping: Path | None, home: Path) -> None:
    """Compare where the folders really are.

    Raises
    ------
    ConfigurationError
        One lies in another one where it must not.
    """
    inside = [
        ("OUT", out, "IN", source),
        ("IN", source, "OUT", out),
        ("ORTHANC_DEID_HOME", home, "OUT", out),
    ]
    if mapping is not None:
        inside += [("--mapping-dir", mapping, "OUT", out), ("--mapping-dir", mapping, "IN", source)]
    for inner, path, outer, other in inside:
        if path.resolve() == other.resolve():
            raise ConfigurationError(f"{inner} and {outer} are the same folder: name two")
        if path.resolve().is_relative_to(other.resolve()):
            raise ConfigurationError(f"{inner} lies inside {outer}: choose a folder beside it")
