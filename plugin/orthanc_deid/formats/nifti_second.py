"""The second converter, run as a script in a process of its own: folder of DICOM files, file to write.

It imports nothing of ours. The exit code 3 means that the series is not of a kind that it converts.
"""

import logging
import sys
import warnings

NOT_OF_ITS_KIND = 3


def main(source: str, target: str) -> int:
    """Convert without turning the axes, which are compared by the transformation."""
    warnings.simplefilter("ignore")
    logging.disable()
    from dicom2nifti import settings
    from dicom2nifti.convert_dicom import dicom_series_to_nifti
    from dicom2nifti.exceptions import ConversionError, ConversionValidationError

    settings.disable_validate_slicecount()
    try:
        dicom_series_to_nifti(source, target, reorient_nifti=False)
    except (ConversionError, ConversionValidationError):
        return NOT_OF_ITS_KIND
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
