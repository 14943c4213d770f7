"""What a synthetic picture says about itself, in two text chunks of its PNG file.

The chunk ``fetalstudio`` holds a JSON object, the chunk ``XML:com.adobe.xmp`` the IPTC's digital
source type, which other programs know. The keys of the object:

``format``
    ``fetalstudio-synthetic-1``.
``synthetic``
    Always true.
``program``
    The version that wrote the file.
``ellipse``, ``requested``
    The head's outline that the picture is labelled with, and the one that was asked for: ``cx``,
    ``cy``, ``a``, ``b`` in px and ``angle_deg``.
``corrected``
    Whether a person moved the ellipse.
``mm_per_px``
    Width and height of a pixel in mm, or null.
``contains_real_pixels``
    Whether a part of the picture was taken over from a real frame; null where that is not known.
``copy``
    Whether the picture resembles a training frame too closely; null where that was not measured.
``quality``
    Figures by name; see the guide to the review.
``provenance``
    How the picture was made: the keys of :data:`PROVENANCE`. None of them names a person.

Files come from anywhere: :func:`read_note` believes no key that it does not know and no value of
another kind.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any
from xml.sax.saxutils import quoteattr

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.screening import is_copy, shows_real_pixels
from fetalstudio.version import __version__

FORMAT = "fetalstudio-synthetic-1"
_ANY_FORMAT = re.compile(r"fetalstudio-synthetic-\d+")
_MAX_TEXT, _MAX_PROMPT, _MAX_FIGURES = 200, 4000, 64
_MAX_WHOLE = 2**63
_FIGURE = re.compile(r"[a-z][a-z0-9_]{0,40}")
_SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_XMP = """<?xpacket begin="\N{ZERO WIDTH NO-BREAK SPACE}" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    Iptc4xmpExt:DigitalSourceType={source}
    xmp:CreatorTool={tool}/>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>"""


@dataclass(frozen=True, slots=True)
class SyntheticNote:
    """What is known about a synthetic picture."""

    ellipse: Ellipse
    """The label, in px."""
    requested: Ellipse
    corrected: bool
    """Whether a person moved the ellipse."""
    calibration: Calibration | None
    quality: Mapping[str, float]
    provenance: Mapping[str, Any]
    """As in ``Pair.provenance``, with the keys of :data:`PROVENANCE` alone."""

    @property
    def copy(self) -> bool:
        """Whether the picture resembles a training frame too closely."""
        return is_marked_copy(self.quality, self.provenance)

    @property
    def copy_checked(self) -> bool:
        """Whether the picture was compared with the training frames of its model."""
        return "similarity" in self.quality and self.provenance.get("copy_threshold") is not None

    @property
    def contains_real_pixels(self) -> bool | None:
        """Whether a part of the picture is from a real frame; None where that is not known."""
        return contains_real_pixels(self.quality, self.provenance)

    def record(self) -> dict[str, Any]:
        """The JSON object, without numbers that JSON does not know."""
        c = self.calibration
        record = {
            "format": FORMAT,
            "synthetic": True,
            "program": f"FetalStudio {__version__}",
            "ellipse": asdict(self.ellipse),
            "requested": asdict(self.requested),
            "corrected": self.corrected,
            "mm_per_px": None if c is None else (c.mm_per_px_x, c.mm_per_px_y),
            "contains_real_pixels": self.contains_real_pixels,
            "copy": self.copy if self.copy or self.copy_checked else None,
            "quality": dict(self.quality),
            "provenance": _shared(self.provenance),
        }
        plain: dict[str, Any] = strict_json(record)
        return plain

    def text(self) -> str:
        """The JSON object as it stands in a PNG file."""
        return json.dumps(self.record(), allow_nan=False)


def read_note(text: str) -> SyntheticNote | None:
    """The note in the text of a PNG file; None where it only says that the picture is synthetic.

    Raises ``ValueError``, with the reason, for a note that is damaged or of a newer version.
    """
    if not text.startswith("{"):
        return None
    try:
        record = json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return read_record(record)


def read_record(record: Any) -> SyntheticNote:
    """The note in a JSON object, as :meth:`SyntheticNote.record` made it.

    Raises ``ValueError`` as :func:`read_note`.
    """
    if not isinstance(record, dict) or record.get("synthetic") is not True:
        raise ValueError("it does not describe a synthetic picture")
    format = record.get("format", FORMAT)
    if format != FORMAT:
        newer = isinstance(format, str) and _ANY_FORMAT.fullmatch(format)
        raise ValueError("it was written by a newer FetalStudio" if newer else "it is damaged")
    ellipse = _ellipse(record, "ellipse")
    provenance = _checked(_mapping(record, "provenance"))
    note = SyntheticNote(
        ellipse,
        ellipse if "requested" not in record else _ellipse(record, "requested"),
        record.get("corrected") is True,
        _calibration(record.get("mm_per_px")),
        _figures(_mapping(record, "quality")),
        provenance,
    )
    if record.get("copy") is True and not note.copy:
        note = replace(note, provenance={**note.provenance, "copy": True})
    if record.get("contains_real_pixels") is True and not note.contains_real_pixels:
        note = replace(note, provenance={**note.provenance, "background": "frame"})
    return note


def is_marked_copy(quality: Mapping[str, float], provenance: Mapping[str, Any]) -> bool:
    """Whether a picture is a copy of a training frame: by its figures, or because the file or the
    table that it came with says so."""
    threshold = provenance.get("copy_threshold")
    limit = None if threshold is None else float(threshold)
    return provenance.get("copy") is True or is_copy(quality, limit)


def contains_real_pixels(
    quality: Mapping[str, float], provenance: Mapping[str, Any]
) -> bool | None:
    """Whether a picture shows a part of a real frame: because its tissue was to be kept, or because
    the comparison with its lender found it. None if not known."""
    if shows_real_pixels(quality):
        return True
    return {"frame": True, "made": False}.get(str(provenance.get("background")))


def xmp_of(note: str) -> str:
    """The XMP packet for a picture with this note: how the IPTC calls its source."""
    try:
        found = read_note(note)
    except ValueError:
        found = None
    kind = "trainedAlgorithmicMedia"
    if found is not None and found.contains_real_pixels:
        kind = "compositeSynthetic"
    elif found is not None and found.provenance.get("style") == "simulated":
        kind = "algorithmicMedia"
    return _XMP.format(
        source=quoteattr(_SOURCE_TYPES + kind), tool=quoteattr(f"FetalStudio {__version__}")
    )


def strict_json(value: Any) -> Any:
    """The value with null in place of NaN and infinity, which JSON does not know."""
    if isinstance(value, Mapping):
        return {str(key): strict_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [strict_json(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# -- what comes from outside -----------------------------------------------------------------


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _whole(value: Any) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole and -_MAX_WHOLE <= value < _MAX_WHOLE


def _text(value: Any) -> bool:
    """A name, and no path."""
    short = isinstance(value, str) and len(value) <= _MAX_TEXT and value.isprintable()
    return short and not set(value) & set("/\\")


def _prompt(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _MAX_PROMPT and value.isprintable()


def _hexadecimal(digits: int) -> Callable[[Any], bool]:
    pattern = re.compile(f"[0-9a-f]{{{digits}}}")
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _size(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_whole, value))


def _outline(value: Any) -> bool:
    if not (isinstance(value, list) and len(value) == 5 and all(map(_number, value))):
        return False
    try:
        Ellipse(*value)
    except ValueError:
        return False
    return True


def _numbers(value: Any) -> bool:
    few = isinstance(value, dict) and len(value) <= _MAX_FIGURES
    return few and all(_FIGURE.fullmatch(k) and _number(v) for k, v in value.items())


SIMULATOR = "simulator"
"""The synthesizer of frames by the scanner simulator. It has no weights, and so no hash."""
PROVENANCE: Mapping[str, Callable[[Any], bool]] = {
    "synthesizer": _text,
    "synthesizer_sha256": _hexadecimal(64),
    "seed": _whole,
    "steps": _whole,
    "guidance": _number,
    "sampler": _text,
    "style": _text,
    "mode": _text,
    "prompt": _prompt,
    "lora_scale": _number,
    "memory_preset": _text,
    "generated_at_px": _size,
    "aligned": _flag,
    "scale": _text,
    "background": _text,
    "source_frame": _hexadecimal(64),
    "judge": _text,
    "found": _outline,
    "convention": _numbers,
    "skull": _outline,
    "nearest_frame": _hexadecimal(16),
    "copy_threshold": _number,
    "copy": _flag,
    "cohort_frames": _whole,
    "cohort_limits": _numbers,
    "fetalstudio": _text,
    "imported": _flag,
}
"""What a file may say about how its picture was made, and which values are possible. Each may be
null."""


def _shared(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """What of a pair's provenance goes into a file."""
    plain = strict_json({key: value for key, value in provenance.items() if key in PROVENANCE})
    return {k: v for k, v in plain.items() if v is None or PROVENANCE[k](v)}


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    known = {key: value for key, value in values.items() if key in PROVENANCE}
    for key, value in known.items():
        if value is not None and not PROVENANCE[key](value):
            raise ValueError(f"its {key} is damaged")
    return known


def _mapping(record: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    values = record.get(key) or {}
    if not isinstance(values, dict):
        raise ValueError(f"its {key} is damaged")
    return values


def _figures(values: Mapping[str, Any]) -> dict[str, float]:
    known = {key: value for key, value in values.items() if value is not None}
    if not _numbers(known):
        raise ValueError("its quality is damaged")
    return {key: float(value) for key, value in known.items()}


def _ellipse(record: Mapping[str, Any], key: str) -> Ellipse:
    values = record.get(key)
    names = ("cx", "cy", "a", "b", "angle_deg")
    if not isinstance(values, dict) or not all(_number(values.get(name)) for name in names):
        raise ValueError(f"its {key} is damaged")
    return Ellipse(*(float(values[name]) for name in names))


def _calibration(mm_per_px: Any) -> Calibration | None:
    if mm_per_px is None:
        return None
    if not (isinstance(mm_per_px, list) and len(mm_per_px) == 2 and all(map(_number, mm_per_px))):
        raise ValueError("its mm_per_px is damaged")
    return Calibration(float(mm_per_px[0]), float(mm_per_px[1]), "inherited")
