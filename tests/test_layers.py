"""Who may import whom: read from the source, so that a forgotten import in a function counts too."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PLUGIN = Path(__file__).resolve().parents[1] / "plugin"
PACKAGE = PLUGIN / "orthanc_deid"

# Loaded into Orthanc's own process.
INSIDE_ORTHANC = (
    "audit_feed", "callbacks", "door", "header", "keyring", "proxy", "repeats", "seen", "service_socket", "supervisor",
    "log", "errors",
)  # fmt: skip
HEAVY = ("dbos", "numpy", "sqlalchemy", "fastapi", "pydantic", "uvicorn", "yaml", "requests", "alembic", "click")

# A third-party package and the only parts that may know it.
ONLY_THERE = {
    "orthanc": ("main",),
    "dbos": ("engine",),
    "sqlalchemy": ("database", "engine", "service", "worker", "intake", "cli", "collect", "child_process"),
    "fastapi": ("service",),
    "click": ("cli",),
    "rich": ("cli", "demo"),
    "requests": ("cli", "demo", "destinations", "web"),
    "requests_toolbelt": ("destinations",),
    "oauthlib": ("web",),
    "pydicom": (
        "confidentiality",
        "header",
        "demo",
        "steps",
        "folder",
        "formats",
        "destinations",
        "collect",
        "intake",
        "pseudonymization",
    ),
    "cryptography": ("sealed",),
    "pypdf": ("confidentiality",),
    "fsspec": ("stores",),
    "s3fs": ("stores",),
    "gcsfs": ("stores",),
    "adlfs": ("stores",),
    "paramiko": ("stores",),
    "flywheel": ("destinations",),
    "nibabel": ("formats",),
    "dicom2nifti": ("formats",),
    "dcm2niix": ("formats",),
    "PIL": ("formats",),
}

# A part and what it may import of ours; a part that is not named may import anything but main.
MAY_IMPORT = {
    "errors": set(),
    "states": set(),
    "log": set(),
    "confidentiality": {"errors"},
    "settings": {"errors", "yaml_file", "formats"},
    "formats": {"errors"},
    "yaml_file": {"errors"},
    "chain": set(),
    "database": {"chain", "errors", "keyring", "sealed", "states"},
    "sealed": {"errors"},
    "keyring": {"errors"},
    "pacs": {"destinations", "errors", "orthanc_rest", "settings"},
    "pipeline": set(),
    "supervisor": {"log"},
    "orthanc_rest": {"errors", "settings"},
    "engine": {"database", "pipeline"},
    "destinations": {"errors", "formats", "log", "orthanc_rest", "settings", "stores", "web"},
    "web": {"errors", "orthanc_rest", "settings"},
    "retention": {"settings", "states"},
    "results": {"destinations", "errors", "formats", "orthanc_rest", "processes", "settings"},
    "processes": {"errors", "log"},
    "stores": {"errors", "settings"},
    "packed": {"errors"},
    "folder": {"confidentiality", "errors", "packed", "processes"},
    "arrival": {"arrived", "confidentiality", "errors", "keyring"},
    "pseudonymization": {"confidentiality", "database", "errors", "formats", "orthanc_rest", "settings", "web"},
    "staging": {"formats", "batches", "cli", "errors", "states"},
}


def parts() -> Iterator[tuple[str, Path]]:
    """Yield each module with the name of its part: the module or folder right below the package."""
    yield "main", PLUGIN / "main.py"
    for path in sorted(PACKAGE.rglob("*.py")):
        first = path.relative_to(PACKAGE).parts[0]
        yield first.removesuffix(".py"), path


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (package, part) of every import; the part is set for imports of ours."""
    depth = len(path.relative_to(PACKAGE).parts) if path.is_relative_to(PACKAGE) else 0
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.split(".")[0], ".".join(alias.name.split(".")[1:2])
        elif isinstance(node, ast.ImportFrom) and not node.level:
            module = (node.module or "").split(".")
            yield module[0], module[1] if len(module) > 1 else ""
        elif isinstance(node, ast.ImportFrom) and node.level == depth:
            names = [node.module.split(".")[0]] if node.module else [alias.name for alias in node.names]
            for name in names:
                yield "orthanc_deid", name


MODULES = [pytest.param(part, path, id=str(path.relative_to(PLUGIN))) for part, path in parts()]


def test_the_modules_are_found() -> None:
    assert {"main", "engine", "steps", "service", "confidentiality"} <= {part for part, _ in parts()}


@pytest.mark.parametrize(("part", "path"), MODULES)
def test_a_foreign_package_is_known_in_one_place(part: str, path: Path) -> None:
    wrong = [package for package, _ in imports(path) if part not in ONLY_THERE.get(package, (part,))]
    assert wrong == []


@pytest.mark.parametrize(("part", "path"), MODULES)
def test_a_part_imports_only_what_is_below_it(part: str, path: Path) -> None:
    if part not in MAY_IMPORT:
        return
    ours = {name for package, name in imports(path) if package == "orthanc_deid" and name != "__version__"}
    assert ours - MAY_IMPORT[part] - {part} == set()


@pytest.mark.parametrize("name", INSIDE_ORTHANC)
def test_what_runs_inside_orthanc_imports_nothing_heavy(name: str) -> None:
    found = list(imports(PACKAGE / f"{name}.py"))
    assert [package for package, _ in found if package in HEAVY] == []
    ours = {part for package, part in found if package == "orthanc_deid"}
    assert ours <= set(INSIDE_ORTHANC)


def test_the_plugin_folder_holds_one_module_and_one_package() -> None:
    # Orthanc puts this folder first on sys.path: another name here would hide a module of the standard library.
    names = {p.name for p in PLUGIN.iterdir() if p.name != "__pycache__" and not p.name.endswith(".egg-info")}
    assert names == {"main.py", "orthanc_deid"}
