"""Conversions of local de-identified DICOM files: they know no Orthanc, no settings and no network."""
