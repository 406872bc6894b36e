"""Made series as a converter leaves them: a small NIfTI with its sidecar."""

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from orthanc_deid.formats.bids import BidsSeries


def converted(
    folder: Path, number: int, description: str, *, volumes: int = 1, bval: bool = False, images: int = 1,
    subject: str = "DEID-0001", session: str = "1", key: str | None = None, dtype: type = np.int16, **sidecar: Any,  # noqa: ANN401  # JSON
) -> BidsSeries:  # fmt: skip
    """Write one series into a folder of its own and describe it."""
    out = folder / f"{subject}-{session}-{number}"
    out.mkdir(parents=True)
    files = []
    for image in range(1, images + 1):
        stem = f"{number}" if images == 1 else f"{number}_e{image}"
        shape = (8, 8, 6, volumes) if volumes > 1 else (8, 8, 6)
        voxels: NDArray[Any] = np.full(shape, number, dtype)
        nifti = nibabel.Nifti1Image(voxels, np.diag([2.0, 2.0, 3.0, 1.0]))  # type: ignore[no-untyped-call]
        nifti.header.set_xyzt_units("mm", "sec")  # type: ignore[no-untyped-call]
        nifti.header["pixdim"][4] = 2.0
        nibabel.save(nifti, out / f"{stem}.nii.gz")
        text = {"Modality": "MR", "Manufacturer": "Siemens", **sidecar}
        if images > 1:
            text |= {"EchoNumber": image, "EchoTime": 0.01 * image}
        (out / f"{stem}.json").write_text(json.dumps(text))
        files += [out / f"{stem}.nii.gz", out / f"{stem}.json"]
        if bval:
            (out / f"{stem}.bval").write_text(" ".join(["0", *["1000"] * (volumes - 1)]) + "\n")
            (out / f"{stem}.bvec").write_text(
                "\n".join(" ".join(["0", *[row] * (volumes - 1)]) for row in "100") + "\n"
            )
            files += [out / f"{stem}.bval", out / f"{stem}.bvec"]
    fields = {"SeriesDescription": description, "SeriesNumber": number, "PatientSex": "F", "PatientAge": "034Y"}
    return BidsSeries(
        key or f"2.25.{subject}.{session}.{number}", subject, session, tuple(files), fields, "2001-02-03T04:05:06"
    )
