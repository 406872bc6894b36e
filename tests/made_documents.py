"""Valid reports, presentation states, documents, waveforms and raw data; see made_objects.py."""

import struct
from collections.abc import Callable

from pydicom.dataset import Dataset
from pydicom.uid import (
    ComprehensiveSRStorage,
    CTImageStorage,
    EncapsulatedCDAStorage,
    EncapsulatedPDFStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    RawDataStorage,
    TwelveLeadECGWaveformStorage,
)

from made_objects import (
    STUDY,
    base,
    code,
    content_identification,
    evidence,
    item,
    reference,
    uid,
)
from objects import MARKER, ROOT
from orthanc_deid.confidentiality.documents import cda, pdf

SLICES = {f"ct-{number}": CTImageStorage for number in (1, 2, 3)}
_OBSERVER = code("121008", "DCM", "Person Observer Name")
_NARRATIVE = [f"Patient {MARKER} Qponmlk", "The left lung is clear."]


def without_steps(ds: Dataset) -> Dataset:
    """Take out what the modules of most documents have no place for; in place."""
    for keyword in ("RequestAttributesSequence", "ProtocolName"):
        delattr(ds, keyword)
    return ds


def _content(relationship: str, kind: str, concept: list[Dataset] | None, **more: object) -> Dataset:
    ds = item(RelationshipType=relationship, ValueType=kind, **more)
    if concept:
        ds.ConceptNameCodeSequence = concept
    return ds


def _image_item(relationship: str, name: str, **more: object) -> Dataset:
    return _content(relationship, "IMAGE", None, ReferencedSOPSequence=[reference(CTImageStorage, name)], **more)


def ko() -> Dataset:
    """Make a key object selection of two slices with a description."""
    ds = base("ko", KeyObjectSelectionDocumentStorage, "KO")
    without_steps(ds)
    ds.ContentDate, ds.ContentTime = "20200615", "104000"
    ds.CurrentRequestedProcedureEvidenceSequence = evidence({"ct-1": CTImageStorage, "ct-2": CTImageStorage})
    ds.ReferencedRequestSequence = [_referenced_request()]
    ds.ValueType, ds.ContinuityOfContent = "CONTAINER", "SEPARATE"
    ds.ConceptNameCodeSequence = code("113000", "DCM", "Of Interest")
    ds.ContentTemplateSequence = [item(MappingResource="DCMR", TemplateIdentifier="2010")]
    ds.ContentSequence = [
        _content("HAS OBS CONTEXT", "PNAME", _OBSERVER, PersonName=f"{MARKER}^Otto"),
        _content("CONTAINS", "TEXT", code("113012", "DCM", "Key Object Description"), TextValue=f"{MARKER} has it"),
        _image_item("CONTAINS", "ct-1"),
        _image_item("CONTAINS", "ct-2"),
    ]
    return ds


def _referenced_request() -> Dataset:
    return item(
        StudyInstanceUID=STUDY, ReferencedStudySequence=[], AccessionNumber="ACC-550001",
        PlacerOrderNumberImagingServiceRequest="PL-660001", FillerOrderNumberImagingServiceRequest="FI-660002",
        RequestedProcedureID="RP-880001", RequestedProcedureDescription=f"of {MARKER}",
        RequestedProcedureCodeSequence=[],
    )  # fmt: skip


def sr() -> Dataset:
    """Make a comprehensive SR with an item of every value type that it allows but WAVEFORM and COMPOSITE."""
    ds = base("sr", ComprehensiveSRStorage, "SR")
    without_steps(ds)
    ds.ContentDate, ds.ContentTime = "20200615", "105000"
    ds.CompletionFlag, ds.CompletionFlagDescription, ds.VerificationFlag = "COMPLETE", f"by {MARKER}", "VERIFIED"
    ds.VerifyingObserverSequence = [
        item(
            VerifyingOrganization=f"{MARKER} Hospital", VerificationDateTime="20200615110000",
            VerifyingObserverName=f"{MARKER}^Vera", VerifyingObserverIdentificationCodeSequence=[],
        )
    ]  # fmt: skip
    ds.ReferencedRequestSequence = [_referenced_request()]
    ds.PerformedProcedureCodeSequence = []
    ds.CurrentRequestedProcedureEvidenceSequence = evidence(SLICES)
    ds.ValueType, ds.ContinuityOfContent = "CONTAINER", "SEPARATE"
    ds.ConceptNameCodeSequence = code("18748-4", "LN", "Diagnostic Imaging Report")
    ds.ContentSequence = [*_observation_context(), _findings()]
    return ds


def _observation_context() -> list[Dataset]:
    return [
        _content("HAS OBS CONTEXT", "PNAME", _OBSERVER, PersonName=f"{MARKER}^Otto"),
        _content("HAS OBS CONTEXT", "PNAME", code("121029", "DCM", "Subject Name"), PersonName=f"{MARKER}^Qponmlk"),
        _content("HAS OBS CONTEXT", "DATE", code("121031", "DCM", "Subject Birth Date"), Date="19630417"),
        _content("HAS OBS CONTEXT", "TEXT", code("121030", "DCM", "Subject ID"), TextValue="MRN-770001"),
        _content("HAS OBS CONTEXT", "UIDREF", code("121018", "DCM", "Procedure Study Instance UID"), UID=STUDY),
    ]


def _findings() -> Dataset:
    measured = item(
        NumericValue="12.5", MeasurementUnitsCodeSequence=code("mm", "UCUM", "millimeter"),
    )  # fmt: skip
    contour = _content(
        "INFERRED FROM", "SCOORD", code("121055", "DCM", "Path"), GraphicType="POLYLINE",
        GraphicData=[1.0, 1.0, 3.0, 3.0], ContentSequence=[_image_item("SELECTED FROM", "ct-2")],
    )  # fmt: skip
    number = _content(
        "CONTAINS", "NUM", code("G-D7FE", "SRT", "Length"), MeasuredValueSequence=[measured],
        ObservationDateTime="20200615104500", ObservationUID=f"{ROOT}.15", ContentSequence=[contour],
    )  # fmt: skip
    items = [
        _content("CONTAINS", "TEXT", code("121071", "DCM", "Finding"), TextValue=f"{MARKER} has a nodule."),
        _content(
            "CONTAINS", "CODE", code("121071", "DCM", "Finding"), ConceptCodeSequence=code("N1", "99X", f"of {MARKER}")
        ),
        _content("CONTAINS", "DATETIME", code("111526", "DCM", "DateTime Started"), DateTime="20200615101112+0100"),
        _content("CONTAINS", "DATE", code("111060", "DCM", "Study Date"), Date="20200615"),
        _content("CONTAINS", "TIME", code("111061", "DCM", "Study Time"), Time="101112"),
        _content("CONTAINS", "UIDREF", code("112002", "DCM", "Series Instance UID"), UID=uid("series of ct")),
        _image_item("CONTAINS", "ct-3"),
        number,
    ]
    return _content(
        "CONTAINS",
        "CONTAINER",
        code("121070", "DCM", "Findings"),
        ContinuityOfContent="SEPARATE",
        ContentSequence=items,
    )


def gsps() -> Dataset:
    """Make a presentation state with a text, a line and two layers over two slices."""
    ds = without_steps(base("gsps", GrayscaleSoftcopyPresentationStateStorage, "PR"))
    for keyword, value in content_identification("SOMETHING").items():
        setattr(ds, keyword, value)
    del ds.ContentDate, ds.ContentTime
    ds.Laterality = ""
    ds.PresentationCreationDate, ds.PresentationCreationTime = "20200615", "111000"
    images = [reference(CTImageStorage, name) for name in ("ct-1", "ct-2")]
    ds.ReferencedSeriesSequence = [item(SeriesInstanceUID=uid("series of ct"), ReferencedImageSequence=images)]
    layers = [("TEXTS", 1), ("DRAWINGS", 2)]
    ds.GraphicLayerSequence = [
        item(GraphicLayer=name, GraphicLayerOrder=order, GraphicLayerDescription=f"of {MARKER}")
        for name, order in layers
    ]
    ds.GraphicAnnotationSequence = [_texts(), _drawings()]
    ds.DisplayedAreaSelectionSequence = [
        item(
            DisplayedAreaTopLeftHandCorner=[1, 1], DisplayedAreaBottomRightHandCorner=[4, 4],
            PresentationSizeMode="SCALE TO FIT", PresentationPixelAspectRatio=[1, 1],
        )
    ]  # fmt: skip
    ds.SoftcopyVOILUTSequence = [
        item(WindowCenter="40", WindowWidth="400", WindowCenterWidthExplanation=f"by {MARKER}")
    ]
    ds.PresentationLUTShape = "IDENTITY"
    return ds


def _texts() -> Dataset:
    text = item(
        UnformattedTextValue=f"{MARKER} 17.04.1963", BoundingBoxAnnotationUnits="PIXEL",
        BoundingBoxTopLeftHandCorner=[1, 1], BoundingBoxBottomRightHandCorner=[3, 3],
        BoundingBoxTextHorizontalJustification="LEFT",
    )  # fmt: skip
    return item(
        GraphicLayer="TEXTS", TextObjectSequence=[text], ReferencedImageSequence=[reference(CTImageStorage, "ct-1")]
    )


def _drawings() -> Dataset:
    line = item(
        GraphicAnnotationUnits="PIXEL", GraphicDimensions=2, NumberOfGraphicPoints=2, GraphicData=[1, 1, 3, 3],
        GraphicType="POLYLINE", GraphicFilled="N",
    )  # fmt: skip
    return item(GraphicLayer="DRAWINGS", GraphicObjectSequence=[line])


def _encapsulated(name: str, sop_class: str, mime: str, data: bytes) -> Dataset:
    ds = without_steps(base(name, sop_class, "DOC"))
    ds.ContentDate, ds.ContentTime, ds.AcquisitionDateTime = "20200615", "112000", ""
    ds.BurnedInAnnotation, ds.DocumentTitle, ds.ConversionType = "NO", f"Letter about {MARKER}", "WSD"
    ds.ConceptNameCodeSequence = code("18748-4", "LN", "Diagnostic Imaging Report")
    source = reference(CTImageStorage, "ct-1")
    source.PurposeOfReferenceCodeSequence = code("121322", "DCM", "Source of this")
    ds.SourceInstanceSequence = [source]
    ds.MIMETypeOfEncapsulatedDocument = mime
    ds.EncapsulatedDocumentLength = len(data)
    ds.EncapsulatedDocument = data + b"\x00" * (len(data) & 1)
    ds.InstanceNumber = 1
    return ds


def encapsulated_pdf() -> Dataset:
    """Make a PDF whose text names the patient."""
    return _encapsulated("pdf", EncapsulatedPDFStorage, "application/pdf", pdf.written([_NARRATIVE]))


def encapsulated_cda() -> Dataset:
    """Make a CDA whose text names the patient."""
    text = cda.written([cda.Section(f"About {MARKER}", _NARRATIVE)])
    ds = _encapsulated("cda", EncapsulatedCDAStorage, "text/XML", text)
    ds.HL7InstanceIdentifier = f"{ROOT}.16^{MARKER}"
    return ds


def raw() -> Dataset:
    """Make raw data: a private block is all it holds."""
    ds = base("raw", RawDataStorage, "MR")
    ds.ContentDate, ds.ContentTime, ds.AcquisitionDateTime = "20200615", "113000", "20200615113000"
    ds.Laterality = ""
    ds.CreatorVersionUID, ds.ImageComments, ds.AcquisitionContextSequence = f"{ROOT}.17", f"raw of {MARKER}", []
    ds.ReferencedInstanceSequence = [reference(CTImageStorage, "ct-1")]
    ds.ReferencedInstanceSequence[0].PurposeOfReferenceCodeSequence = code("121322", "DCM", "Source of this")
    block = ds.private_block(0x0021, f"ACME {MARKER}", create=True)
    block.add_new(0x01, "LO", f"private {MARKER}")
    block.add_new(0x02, "OB", MARKER.encode() + b"\x00")
    return ds


def ecg() -> Dataset:
    """Make a 12-lead ECG, cut to two channels' worth of samples each, with a text and a measurement annotated."""
    ds = base("ecg", TwelveLeadECGWaveformStorage, "ECG")
    ds.ContentDate, ds.ContentTime, ds.AcquisitionDateTime = "20200615", "114000", "20200615114000"
    ds.AcquisitionContextSequence = [
        item(
            ValueType="CODE", ConceptNameCodeSequence=_scpecg("5.4.5-33-1", "Electrode Placement"),
            ConceptCodeSequence=_scpecg("5.4.5-33-1-0", "Unspecified"),
        )
    ]  # fmt: skip
    samples = 4
    group = item(
        WaveformOriginality="ORIGINAL", NumberOfWaveformChannels=12, NumberOfWaveformSamples=samples,
        SamplingFrequency="500", MultiplexGroupLabel=f"{MARKER} rest", WaveformBitsAllocated=16,
        WaveformSampleInterpretation="SS", ChannelDefinitionSequence=[_channel(lead) for lead in _LEADS],
        WaveformData=struct.pack("<48h", *range(samples * 12)),
    )  # fmt: skip
    group["WaveformData"].VR = "OW"
    ds.WaveformSequence = [group]
    ds.WaveformAnnotationSequence = [
        item(UnformattedTextValue=f"{MARKER} was calm", ReferencedWaveformChannels=[1, 0], AnnotationGroupNumber=1),
        item(
            ConceptNameCodeSequence=_scpecg("5.10.3-1", "RR Interval"), ReferencedWaveformChannels=[1, 1],
            NumericValue="900", MeasurementUnitsCodeSequence=code("ms", "UCUM", "milliseconds"),
            AnnotationGroupNumber=2,
        ),
    ]  # fmt: skip
    return ds


def _scpecg(value: str, meaning: str) -> list[Dataset]:
    found = code(value, "SCPECG", meaning)
    found[0].CodingSchemeVersion = "1.3"
    return found


_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


def _channel(lead: str) -> Dataset:
    return item(
        ChannelLabel=f"{lead} {MARKER}",
        ChannelSourceSequence=_scpecg(f"5.6.3-9-{_LEADS.index(lead) + 1}", f"Lead {lead}"),
        WaveformBitsStored=16, ChannelSensitivity="1", ChannelSensitivityUnitsSequence=code("uV", "UCUM", "microvolt"),
        ChannelSensitivityCorrectionFactor="1", ChannelBaseline="0", ChannelSampleSkew="0",
    )  # fmt: skip


OBJECTS: dict[str, Callable[[], Dataset]] = {
    "ko": ko,
    "sr": sr,
    "gsps": gsps,
    "pdf": encapsulated_pdf,
    "cda": encapsulated_cda,
    "raw": raw,
    "ecg": ecg,
}
