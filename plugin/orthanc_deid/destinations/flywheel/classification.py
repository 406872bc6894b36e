"""What an MR series measures, as Flywheel's own classifier names it: a table on its description."""

import re
from collections.abc import Mapping

Classes = Mapping[str, tuple[str, ...]]

# The first row that fits counts.
_MR: tuple[tuple[str, Classes], ...] = (
    (r"localizer|localiser|scout|survey|3.?plane", {"Intent": ("Localizer",), "Measurement": ("T2",)}),
    (r"phoenix|report|screen.?sav", {"Intent": ("Non-Image",)}),
    (r"shim", {"Intent": ("Shim",), "Measurement": ("B0",)}),
    (r"field.?map|b0.?map|gre_field", {"Intent": ("Fieldmap",), "Measurement": ("B0",)}),
    (r"b1.?map|tfl_b1", {"Intent": ("Fieldmap",), "Measurement": ("B1",)}),
    (r"calib|asset|coil.?sens|reference.?scan", {"Intent": ("Calibration",), "Measurement": ("B1",)}),
    (
        r"\badc\b|_adc|colfa|_fa\b|tracew|_trace|tensor|exp.?apparent",
        {"Intent": ("Structural",), "Measurement": ("Diffusion",), "Features": ("Derived",)},
    ),
    (r"diff|dti|dwi|dsi|hardi|noddi", {"Intent": ("Structural",), "Measurement": ("Diffusion",)}),
    (r"\basl\b|_asl|pcasl|pasl|perf|\bdsc\b|\bdce\b|cbf|cbv", {"Measurement": ("Perfusion",)}),
    (r"bold|fmri|rest|\bfunc|task", {"Intent": ("Functional",), "Measurement": ("T2*",)}),
    (r"svs|mrs\b|spectro|\bcsi\b|gaba|press", {"Intent": ("Structural",), "Measurement": ("Spectroscopy",)}),
    (r"swi|suscept|qsm", {"Intent": ("Structural",), "Measurement": ("Susceptibility",)}),
    (r"flair|dark.?fluid", {"Intent": ("Structural",), "Measurement": ("T2",), "Features": ("FLAIR",)}),
    (r"t2\*|t2.?star|\bgre\b|hemo", {"Intent": ("Structural",), "Measurement": ("T2*",)}),
    (r"t1|mp2?rage|spgr|bravo|\btfe\b", {"Intent": ("Structural",), "Measurement": ("T1",)}),
    (r"t2|fiesta|ciss|\btse\b|\bfse\b", {"Intent": ("Structural",), "Measurement": ("T2",)}),
    (r"\bpd\b|_pd|proton", {"Intent": ("Structural",), "Measurement": ("PD",)}),
)


def classify(modality: str, SeriesDescription: str) -> Classes:
    """Return the classes of a series; none where the table knows nothing of it, or it is no MR."""
    if modality != "MR":
        return {}
    text = SeriesDescription.lower()
    return next((classes for words, classes in _MR if re.search(words, text)), {})
