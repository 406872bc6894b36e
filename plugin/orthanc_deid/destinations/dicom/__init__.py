"""Kinds that speak DICOM: `dicom`, `orthanc-peer`, `dicomweb` and `karnak`, each in the module of its name.

Spoken through: `modality` and `inquiry` (a node of our Orthanc: C-STORE, C-FIND, storage commitment), `storescu`
(C-STORE by DCMTK), `dicomweb_client` and `stow` (QIDO-RS, STOW-RS), `karnak_tags`. Shared: `sop_instances` (what is to
be there), `arrivals` (what was accepted), `dimse` (refusals in words), `jobs` (of our Orthanc).
"""
