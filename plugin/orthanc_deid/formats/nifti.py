"""One series of de-identified DICOM files as NIfTI with its side-car, or the reason why it is none."""

import errno
import os
import re
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import dcm2niix
from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from ..errors import Rejected, Retriable
from . import nifti_checks, nifti_compare, nifti_header, nifti_words, series, sidecar
from .nifti_checks import Image
from .nifti_run import Dcm2niix, Dicom2nifti
from .nifti_select import DECODED, Expected, select
from .series import Instance


@dataclass(frozen=True)
class NiftiOptions:
    """How a series is converted; see the settings of the same names."""

    engine: str = "dcm2niix"
    cross_check: bool = False
    precise_philips: bool = True
    minimum_slices: int = 3
    resampled: str = "refuse"
    timeout_s: int = 1800
    times: bool = False
    dates: bool = False
    text: bool = True
    program: Path | None = None  # in place of the dcm2niix of its package


@dataclass(frozen=True)
class Volumes:
    """What a conversion made."""

    files: tuple[Path, ...]
    engine: str
    shape: tuple[int, ...]  # of the first file: columns, rows, slices, volumes
    remarks: tuple[str, ...]


_STEM = re.compile(r"[A-Za-z0-9._-]{1,100}")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def convert(source: Path, out: Path, stem: str, options: NiftiOptions) -> Volumes:
    """Convert a folder that holds the files of one series and nothing else.

    The files get to `out` whole or not at all; beside it there is room for twice the voxels meanwhile. Their names
    are `stem.nii.gz`, `stem.json`, and `stem.bval`, `stem.bvec` where there is diffusion. A series of several echoes,
    of phase and magnitude, or of real and imaginary part is a set: `stem_e1.nii.gz`, `stem_e2.nii.gz`.

    Raises
    ------
    Rejected
        It cannot or must not be a volume.
    Retriable
        The converter took too long or was ended, or the disk is full.
    """
    if not _STEM.fullmatch(stem):
        raise ValueError("a stem has 1 to 100 letters, digits, dots, underscores and hyphens")
    found = series.read(source)
    expected = select(found, options.minimum_slices, resampled=options.resampled == "keep")
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".nifti-", dir=out.parent) as work:
            job = _Job(found, expected, Path(work), options, time.monotonic() + options.timeout_s)
            chosen, remarks = job.convert()
            files = _publish(job.finish(chosen, stem), out, stem)
    except OSError as error:
        if error.errno in _FULL:
            raise Retriable("no room on the disk for a conversion") from None
        raise
    return Volumes(files, _name(options.engine), chosen[0].shape, remarks)


@dataclass(frozen=True)
class _Job:
    """One conversion in a folder of its own."""

    found: Sequence[Instance]
    expected: Expected
    work: Path
    options: NiftiOptions
    until: float  # monotonic clock

    def convert(self) -> tuple[list[Image], tuple[str, ...]]:
        """Return the images that are to be kept, and remarks on them."""
        (self.work / "given").mkdir()
        for at, instance in enumerate(self.found):
            _give(instance, self.work / "given" / f"{at:06}.dcm")
        remarks = [*self.expected.remarks, *self._run(self.options.engine, "made")]
        keep = self.options.resampled == "keep"
        images = nifti_checks.images(self.work / "made", resampled=keep)
        nifti_checks.counted(images, self.expected)
        nifti_checks.placed(images, self.expected)
        if self.options.cross_check:
            remarks += self._cross_check(images)
        chosen = _chosen(images)
        for image in chosen:
            remarks += nifti_checks.repeated(image)
        if self.expected.weighted and not any((self.work / "made").glob("*.bval")):
            remarks.append("the headers tell b-values, but the converter wrote no diffusion directions")
        if any(image.resampled for image in chosen):
            remarks.append("slices were resampled to equal distances along their normal")
        return chosen, tuple(dict.fromkeys(remarks))

    def finish(self, chosen: Sequence[Image], stem: str) -> Path:
        """Return a folder with what may leave: `.nii.gz`, `.json`, `.bval`, `.bvec`."""
        ready = self.work / "ready"
        ready.mkdir()
        for image in chosen:
            self._finish(image, f"{ready}/{stem}{image.part if len(chosen) > 1 else ''}")
        return ready

    def _finish(self, image: Image, target: str) -> None:
        nifti_header.compress(image.path, Path(f"{target}.nii.gz"))
        made = image.path.with_name(f"x{image.part}")  # what was resampled has no side-car of its own
        if self.options.engine == "dcm2niix":
            said = sidecar.read(Path(f"{made}.json"))
        else:
            said = sidecar.of_header(self.found[0].path) | {"ConversionSoftwareVersion": version("dicom2nifti")}
        texts, times, dates = self.options.text, self.options.times, self.options.dates
        kept = sidecar.clean(said, texts=texts, times=times, dates=dates)
        if image.resampled:
            kept.pop("SliceTiming", None)  # of slices that are no more
        sidecar.write(Path(f"{target}.json"), kept)
        for end in (".bval", ".bvec"):
            table = Path(f"{made}{end}")
            if table.exists():
                Path(f"{target}{end}").write_text(nifti_checks.numbers(table, image.header.volumes), encoding="ascii")

    def _run(self, engine: str, folder: str, *, displayed: bool = False) -> tuple[str, ...]:
        """Run a converter into a new folder below; `displayed` asks for Philips' values as they are displayed."""
        given, made = self.work / "given", self.work / folder
        if engine == "dicom2nifti":
            return nifti_words.second(Dicom2nifti().run(given, made, self.until - time.monotonic()))
        program = self.options.program or Path(dcm2niix.bin_path)
        precise = self.options.precise_philips and not displayed
        first = Dcm2niix(program, precise, self.options.times or self.options.dates)
        return nifti_words.first(first.run(given, made, self.until - time.monotonic()))

    def _cross_check(self, images: Sequence[Image]) -> tuple[str, ...]:
        """Convert by the other engine and compare; return a remark where there is nothing to compare with."""
        if any(image.resampled for image in images):
            return ("not cross-checked: the other converter does not resample",)
        if len(images) > 1:
            return ("not cross-checked: the other converter makes one image of a set",)
        made, first = images[0].path, self.options.engine == "dcm2niix"
        try:
            self._run("dicom2nifti" if first else "dcm2niix", "other", displayed=True)
        except nifti_words.NotOfItsKind:
            return ("not cross-checked: the other converter does not convert series of this kind",)
        other = nifti_checks.images(self.work / "other", resampled=False)
        if len(other) > 1:
            raise Rejected("the two converters disagree on the number of images")
        if first and self.expected.philips and self.options.precise_philips:
            # The other knows only the values as they are displayed.
            self._run("dcm2niix", "displayed", displayed=True)
            made = nifti_checks.images(self.work / "displayed", resampled=False)[0].path
        nifti_compare.compare(made, other[0].path)
        nifti_checks.same_b_values(made, other[0].path)
        return ()


def _name(engine: str) -> str:
    return f"{engine} {'v' if engine == 'dcm2niix' else ''}{version(engine)}"


def _give(instance: Instance, path: Path) -> None:
    """Show a file to the converters under a name of ours, decoded where they cannot."""
    if instance.syntax not in DECODED:
        path.symlink_to(instance.path.resolve())
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a library's warning may hold a value
            ds = dcmread(instance.path)
            if instance.syntax == DeflatedExplicitVRLittleEndian:
                ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            else:
                ds.decompress(generate_instance_uid=False)
            ds.save_as(path)
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001  # the decoders raise many kinds for broken data
        raise Rejected(f"pixel data cannot be decoded ({type(error).__name__})") from None


def _chosen(images: Sequence[Image]) -> list[Image]:
    """Return one image of each part: the one that was resampled last, where any was."""
    parts: dict[str, Image] = {}
    for image in sorted(images, key=lambda image: (image.resampled, len(image.path.name))):
        parts[image.part] = image
    return [parts[part] for part in sorted(parts)]


def _publish(ready: Path, out: Path, stem: str) -> tuple[Path, ...]:
    """Give the files their place, images last, and take away what an earlier conversion left under the stem."""
    names = sorted((path.name for path in ready.iterdir()), key=lambda name: (name.endswith(".nii.gz"), name))
    for name in names:
        with (ready / name).open("rb") as file:
            os.fsync(file.fileno())
    ours = re.compile(re.escape(stem) + r"(_e[0-9]+)?(_real|_imaginary|_ph)?(_ADC)?\.(nii\.gz|json|bval|bvec)")
    for old in out.iterdir():
        if ours.fullmatch(old.name) and old.name not in names:
            old.unlink()
    for name in names:
        (ready / name).replace(out / name)
    folder = os.open(out, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return tuple(out / name for name in sorted(names))
