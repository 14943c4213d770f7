"""What a synthetic picture says about itself, and what is believed of it."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.formats.pictures.picture_files import (
    FRAME_NOTE,
    SYNTHETIC_NOTE,
    note_in,
    write_png,
)
from fetalstudio.formats.pictures.synthetic_notes import SyntheticNote, read_note

HEAD, ASKED = Ellipse(48.5, 40.25, 30, 22, 20), Ellipse(48, 40, 30, 22, 20)
MADE: dict[str, Any] = {
    "synthesizer": "compact",
    "synthesizer_sha256": "ab" * 32,
    "seed": 7,
    "steps": 12,
    "guidance": 2.5,
    "sampler": "DPM-Solver++",
    "style": "trimester2",
    "background": "made",
    "source_frame": "cd" * 32,
    "nearest_frame": "0123456789abcdef",
    "copy_threshold": 0.8,
    "found": [48.0, 40.0, 30.0, 22.0, 20.0],
    "fetalstudio": "0.1.0",
}
NOTE = SyntheticNote(
    HEAD, ASKED, True, Calibration(0.2, 0.25, "inherited"), {"dice": 0.97, "similarity": 0.5}, MADE
)


def written(path: Path, note: str) -> Image.Image:
    write_png(path, np.zeros((40, 40), np.uint8), note)
    return Image.open(path)


def source_type(picture: Image.Image) -> str:
    (described,) = ElementTree.fromstring(picture.info["xmp"]).iter(
        "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description"
    )
    named = described.attrib["{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"]
    return named.rpartition("digitalsourcetype/")[2]


def test_a_picture_says_how_it_was_made_and_is_believed(tmp_path: Path) -> None:
    picture = written(tmp_path / "x.png", NOTE.text())
    record = json.loads(picture.info["fetalstudio"])
    assert record["synthetic"] is True
    assert record["ellipse"]["cx"] == 48.5
    assert record["mm_per_px"] == [0.2, 0.25]
    assert (record["contains_real_pixels"], record["copy"]) == (False, False)
    assert {"synthesizer", "synthesizer_sha256", "seed", "sampler", "steps", "guidance"} <= set(
        record["provenance"]
    )
    assert record["program"].startswith("FetalStudio ")
    text = note_in(tmp_path / "x.png")
    assert text is not None
    assert read_note(text) == NOTE


@pytest.mark.parametrize(
    ("background", "style", "kind"),
    [
        ("made", "any", "trainedAlgorithmicMedia"),
        ("frame", "any", "compositeSynthetic"),
        ("made", "simulated", "algorithmicMedia"),
    ],
)
def test_other_programs_read_where_it_comes_from(
    tmp_path: Path, background: str, style: str, kind: str
) -> None:
    made = {**MADE, "background": background, "style": style}
    note = replace(NOTE, provenance=made)
    assert source_type(written(tmp_path / "x.png", note.text())) == kind
    assert note.contains_real_pixels == (background == "frame")
    assert source_type(written(tmp_path / "y.png", SYNTHETIC_NOTE)) == "trainedAlgorithmicMedia"
    assert "xmp" not in written(tmp_path / "z.png", FRAME_NOTE).info


def test_nothing_private_is_written() -> None:
    made = {**MADE, "batch": 3, "patient": "Anna Meier", "judge": "/home/anna/models/judge"}
    text = replace(NOTE, provenance=made, quality={"hd95_px": math.inf}).text()
    assert "nna" not in text and "batch" not in text
    assert json.loads(text)["quality"] == {"hd95_px": None}


def test_pixels_of_a_real_frame_are_known_by_the_comparison_or_because_the_file_says_so() -> None:
    assert NOTE.contains_real_pixels is False
    assert replace(NOTE, quality={"real_share": 0.3}).contains_real_pixels
    assert replace(NOTE, quality={"real_share": 0.02}).contains_real_pixels is False
    record = json.loads(NOTE.text()) | {"contains_real_pixels": True}
    found = read_note(json.dumps(record))
    assert found is not None and found.contains_real_pixels
    bare = {**record, "provenance": {}, "copy": True}
    found = read_note(json.dumps(bare))
    assert found is not None and found.contains_real_pixels and found.copy


def test_a_copy_stays_one_whatever_its_figures_say() -> None:
    assert replace(NOTE, quality={"similarity": 0.9}).copy
    record = json.loads(NOTE.text()) | {"copy": True}
    found = read_note(json.dumps(record))
    assert found is not None
    assert found.copy and not NOTE.copy


@pytest.mark.parametrize(
    "damage",
    [
        {"ellipse": {"cx": "1"}},
        {"ellipse": None},
        {"requested": {"cx": 1, "cy": 1, "a": 1, "b": 2, "angle_deg": 0}},
        {"mm_per_px": [0, 0.2]},
        {"mm_per_px": "0.2"},
        {"quality": {"dice": "good"}},
        {"quality": {"../dice": 1}},
        {"quality": [1]},
        {"provenance": {"synthesizer": "/etc/passwd"}},
        {"provenance": {"source_frame": "../../x"}},
        {"provenance": {"seed": 10**30}},
        {"provenance": {"found": [1, 2, 3]}},
        {"provenance": {"copy_threshold": "none"}},
        {"synthetic": "yes"},
        {"format": "fetalstudio-synthetic-2"},
        {"format": 7},
    ],
)
def test_what_a_damaged_note_says_is_not_believed(damage: dict[str, Any]) -> None:
    record = json.loads(NOTE.text()) | damage
    with pytest.raises(ValueError, match=r"."):
        read_note(json.dumps(record))


@pytest.mark.parametrize("text", ["{", "{}", "{" * 100_000, '{"a":' * 100_000, "{NaN}"])
def test_a_note_that_is_no_json_is_damaged(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_note(text)


def test_keys_that_are_not_known_are_left_out() -> None:
    record = json.loads(NOTE.text())
    record["provenance"]["out"] = "/etc"
    found = read_note(json.dumps(record))
    assert found == NOTE
    assert read_note(SYNTHETIC_NOTE) is None
