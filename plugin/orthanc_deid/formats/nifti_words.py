"""What the converters say: each warning is judged by a table, and none is shown."""

from ..errors import Rejected, Retriable
from .nifti_run import NOT_OF_ITS_KIND, Said

# Part of a warning of dcm2niix in small letters, and the reason that it makes; the first that fits.
REFUSED = (
    ("guessing this is a mosaic", "the number of slices of a mosaic was guessed"),
    ("mosaic inferred without csa", "the number of slices of a mosaic was guessed"),
    ("number of slices not specified", "the number of slices of a mosaic is not known"),
    ("mosaics are not primary images", "mosaics of a software that leaves out what they need"),
    ("guessing temporal order", "the order of the volumes was guessed"),
    ("invalid dimensionindexvalues", "the order of the frames is not known"),
    ("invalid enhanced dicom", "the order of the frames is not known"),
    ("are at different locations", "the order of the frames is not known"),
    ("dicom images may be missing", "images are missing"),
    ("missing images. found", "images are missing"),
    ("missing dicoms", "images are missing"),
    ("partial volume", "a volume is incomplete"),
    ("not divisible by", "a volume is incomplete"),
    ("spatial position repeats", "a volume is incomplete"),
    ("images not stacked", "images do not belong together"),
    ("image position not sequential", "slices are not in order"),
    ("re-ordered slice out-of-volume", "slices are not in order"),
    ("unable to equalize slice distances", "slices are not at equal distances"),
    ("only able to make equidistant", "slices are not at equal distances"),
    ("unable to determine slice direction", "the direction of the slices is not known"),
    ("bogus spatial matrix", "the position in space is not known"),
    ("segami coordinates", "the position in space is not known"),
    ("unable to determine spatial orientation", "the position in space is not known"),
    ("appear to be a single slice", "all images are of one slice"),
    ("slice orientation varies", "mixed orientations"),
    ("unable to determine slice thickness", "the distance of the slices is not known"),
    ("variance of dicom slope/intercept is being ignored", "the scale of values differs between slices"),
    ("intensity slope/intercept varies", "the scale of values differs between slices"),
    ("only able to correct gantry tilt", "slices are tilted against their normal (gantry tilt)"),
    ("tilt correction skipped", "slices are tilted against their normal (gantry tilt)"),
    ("csa image header corrupted", "the scanner's header is broken"),
    ("(corrupt) csa", "the scanner's header is broken"),
    ("unable to convert dti", "the diffusion directions cannot be read"),
    ("vectors may have been removed", "the diffusion directions are missing"),
    ("naming conflict", "the same images twice"),
    ("only loaded", "pixel data are cut off"),
    ("not large enough to store", "pixel data are cut off"),
    ("corrupt", "pixel data are broken"),
    ("decompress", "pixel data cannot be decoded"),
    ("decode", "pixel data cannot be decoded"),
    ("failed to read", "pixel data cannot be decoded"),
    ("offset table", "pixel data cannot be decoded"),
    ("bit-depth", "pixel data are of a kind that is not converted"),
    ("bits is experimental", "pixel data are of a kind that is not converted"),
    ("too large for nifti", "too large for NIfTI"),
    ("recompile with increased", "too many images for the converter"),
    ("exceed capacity", "too many images for the converter"),
    ("too many slices", "too many images for the converter"),
    ("too many dimensions", "too many images for the converter"),
    ("unsupported transfer syntax", "pixel data are of a transfer syntax that is not converted"),
    ("guessing", "the converter guessed"),
)

_TIMING = "slice timing is missing or uncertain"
_DIRECTIONS = "diffusion directions want a look: the converter is not sure of them"

# Part of a warning that the result can live with, and the remark that it makes; nothing where it says nothing new.
ACCEPTED = (
    ("empty protocol name", ""),
    ("patient position (0018,5100) not specified", ""),
    ("unable to determine manufacturer", ""),
    ("compression will be faster", ""),
    ("exported as classic not enhanced", ""),
    ("should be exported as enhanced", _TIMING),
    ("validate slicetiming", "slices are numbered in reverse: slice timing and diffusion directions want a look"),
    ("issue870", "slice times of the first two volumes differ"),
    ("slice timing", _TIMING),
    ("slice times", _TIMING),
    ("slicetiming", _TIMING),
    ("slice order", _TIMING),
    ("rtia timer", _TIMING),
    ("missing ge protocol data block", _TIMING),
    ("group delay", _TIMING),
    ("seconds between volumes varies", "the time between volumes varies"),
    ("repetition time", "the repetition time is uncertain"),
    ("assuming tr", "the repetition time is uncertain"),
    ("suggests a different order", "the order of volumes by number is not that by time"),
    ("check sorted order", "the order of volumes by number is not that by time"),
    ("not sorted in ascending", "instance numbers are not in order"),
    ("order is not spatial", ""),
    ("missing images?", "instance numbers have gaps"),
    ("validate vectors", _DIRECTIONS),
    ("gradient vector", _DIRECTIONS),
    ("check bvecs", _DIRECTIONS),
    ("b-matrix does not encode", _DIRECTIONS),
    ("please validate", _DIRECTIONS),
    ("without gradients", "diffusion directions are missing"),
    ("without bvector", "diffusion directions are missing"),
    ("no bvec/bval files created", ""),
    ("b0 not the first", ""),
    ("bval scaling", ""),
    ("adc or trace images", ""),
    ("b=0+trace", ""),
    ("interpolated protocol", ""),
    ("note these images have gantry tilt", ""),
    ("gantry tilt correction is new", ""),
    ("interslice distance varies", ""),
    ("re-ordering resolved", ""),
    ("reported by slice gap", ""),
    ("please check slice thicknesses", ""),
    ("check number of slices, discrepancy", ""),
    ("slices not stacked", ""),
    ("volumes not stacked", ""),
    ("uint16->int16", ""),
    ("32-bit float", ""),
    ("see pmc3998685", ""),
    ("huge image", ""),
    ("bids", ""),
)

# Warnings whose words would fit a refused one, with the remark that they make.
_FIRST = (
    ("image decompression is new", ""),
    ("slice timing appears corrupted", "slice timing is missing or uncertain"),
    ("physio", ""),
    ("cmrr", ""),
    ("overlay", ""),
)


def first(said: Said) -> tuple[str, ...]:
    """Judge the text of dcm2niix; return remarks.

    Raises
    ------
    Rejected
        It guessed, or could not read something.
    Retriable
        The disk is full.
    """
    remarks: list[str] = []
    for line in said.text.splitlines():
        text = line.strip().lower()
        if not text.startswith(("warning", "error")):
            continue
        if "unable to write" in text or "unable to open output" in text:
            raise Retriable("the converter could not write: is there room on the disk?")
        remarks.append(_remark(text))
    if said.code:
        raise Rejected(f"the converter cannot read the series (exit code {said.code})")
    return tuple(dict.fromkeys(filter(None, remarks)))


class NotOfItsKind(Rejected):
    """The second converter says that it does not take series of this kind."""


def second(said: Said) -> tuple[str, ...]:
    """Judge how the second converter ended."""
    if said.code == NOT_OF_ITS_KIND:
        raise NotOfItsKind("dicom2nifti does not convert series of this kind")
    if said.code:
        raise Rejected(f"the converter cannot read the series (exit code {said.code})")
    return ()


def _remark(text: str) -> str:
    """Return what a line says in our words, nothing where it says nothing new, or refuse."""
    for part, remark in _FIRST:
        if part in text:
            return remark
    for part, reason in REFUSED:
        if part in text:
            raise Rejected(f"not converted: {reason}")
    for part, remark in ACCEPTED:
        if part in text:
            return remark
    if text.startswith("error"):
        raise Rejected("not converted: the converter reports an error that is not known here")
    return "the converter gave a warning that is not known here"
