"""Every export says what it holds: a card, a Croissant file and a manifest."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import Any

import pytest

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.formats.exports import EXPORTS
from fetalstudio.formats.manifest import MANIFEST, SYNTHETIC_FILES, check_manifest
from fetalstudio.formats.pictures.picture_files import note_in
from fetalstudio.formats.writing.dataset_card import DATA_CARD
from fetalstudio.project.exporting.exporters import export_frames
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import ReviewState
from tests.project.kinds import Picture

HASH = "ab" * 32


@pytest.fixture
def full(project: Project, picture: Picture, ellipse: Ellipse) -> Project:
    """Three frames of two subjects in two cohorts, and four pairs."""
    for i, (cohort, subject) in enumerate((("first", "a"), ("first", "a"), ("second", "b"))):
        scale = Calibration(1.0, 1.0, "table") if i else None
        frame, _ = project.frames.add(
            picture(i), name=f"f{i}", cohort=cohort, subject=subject, calibration=scale
        )
        if i != 2:
            project.annotations.add(frame.id, ellipse, author="A. Person", state="final")
    made: dict[str, Any] = {"synthesizer": "compact", "synthesizer_sha256": HASH, "seed": 1}
    pairs: tuple[tuple[dict[str, float], dict[str, Any], ReviewState], ...] = (
        ({"dice": 0.9, "similarity": 0.5}, {"copy_threshold": 0.8}, "accepted"),
        ({"dice": 0.95}, {"background": "frame", "imported": True}, "accepted"),
        ({"dice": 0.99, "similarity": 0.9}, {"copy_threshold": 0.8}, "accepted"),
        ({"dice": 0.2}, {}, "rejected"),
    )
    for i, (figures, more, state) in enumerate(pairs):
        pair = project.pairs.add(
            picture(50 + i),
            name=f"s{i}",
            ellipse=ellipse,
            cohort="synthetic",
            calibration=None,
            quality=figures,
            provenance={**made, **more},
        )
        project.pairs.review(pair.id, state, reviewer="A. Person")
    return project


def test_the_card_counts_what_was_exported(full: Project, tmp_path: Path) -> None:
    export_frames(full, tmp_path / "out", real_pixels=True)
    card = (tmp_path / "out" / DATA_CARD).read_text(encoding="utf-8")
    assert "3 ultrasound frames of fetal heads of 2 subjects, and 2 synthetic frames" in card
    cells = [[c.strip() for c in line.split("|")[1:-1]] for line in card.splitlines()]
    (header,) = (row for row in cells if row[:1] == ["Cohort"])
    first, second = (
        dict(zip(header, row, strict=True)) for row in cells if row[:1] in (["first"], ["second"])
    )
    assert (first["Frames"], first["Subjects"], first["With an ellipse"]) == ("2", "1", "2")
    assert (first["Calibrated"], first["Trimester second"], first["Trimester not known"]) == (
        ("1", "1", "1")
    )
    assert (second["Frames"], second["With an ellipse"], second["Calibrated"]) == ("1", "0", "1")
    assert "3 accepted, 1 rejected" in card
    assert "Left out as copies of training frames: 1 accepted pair." in card
    assert "0 are copies of a training frame; for 1 the training frames" in card
    assert "1 contain some, 0 none; for 1 it is not known" in card
    assert "1 came from another project" in card
    assert ["compact", HASH, "2"] in cells
    assert ["Dice against the judge's ellipse", "2", "0.925", "0.9", "0.95"] in cells
    assert "Model compact, which made synthetic frames: Apache-2.0." in card
    assert "Person" not in card


def test_pairs_with_pixels_of_a_real_frame_are_left_out_unless_asked_for(
    full: Project, tmp_path: Path
) -> None:
    report = export_frames(full, tmp_path / "out")
    assert (report.pairs, report.copies, report.real_pixels) == (1, 1, 1)
    card = (tmp_path / "out" / DATA_CARD).read_text(encoding="utf-8")
    assert "Left out because they show a part of a real frame: 1 accepted pair." in card
    assert "0 contain some" in card
    report = export_frames(full, tmp_path / "all", copies=True, real_pixels=True)
    assert (report.pairs, report.copies, report.real_pixels) == (3, 0, 0)


@pytest.mark.parametrize("format", [name for name, one in EXPORTS.items() if one.pairs])
def test_every_format_says_which_pictures_have_pixels_of_a_real_frame(
    full: Project, tmp_path: Path, format: str
) -> None:
    out = tmp_path / "out"
    export_frames(full, out, format=format, real_pixels=True)
    origins = (out / "provenance.json").read_text(encoding="utf-8")
    said = re.findall(r'"contains_real_pixels": (\w+)', origins)
    assert sorted(said) == ["null", "true"]
    for name in (out / SYNTHETIC_FILES).read_text().splitlines():
        if name.endswith(".png"):  # other formats have room for a word only
            assert "contains_real_pixels" in str(note_in(out / name))
    assert "1 contain some" in (out / DATA_CARD).read_text(encoding="utf-8")


def test_copies_that_were_exported_are_counted(full: Project, tmp_path: Path) -> None:
    export_frames(full, tmp_path / "out", copies=True, real_pixels=True)
    card = (tmp_path / "out" / DATA_CARD).read_text(encoding="utf-8")
    assert "1 are copies of a training frame" in card and "were left out" not in card


@pytest.mark.parametrize("format", EXPORTS)
def test_every_format_has_a_card_a_manifest_and_croissant(
    full: Project, tmp_path: Path, format: str
) -> None:
    out = tmp_path / "out"
    export_frames(full, out, format=format)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlcroissant

        dataset = mlcroissant.Dataset(jsonld=out / "croissant.json")
    assert dataset.metadata.ctx.issues.errors == set()
    assert "3 ultrasound frames" in str(dataset.metadata.description)
    assert check_manifest(out).whole
    listed = {line[66:] for line in (out / MANIFEST).read_text().splitlines()}
    there = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}
    assert listed == there - {MANIFEST}
    described = json.loads((out / "croissant.json").read_text(encoding="utf-8"))
    text = json.dumps(described) + (out / DATA_CARD).read_text(encoding="utf-8")
    assert str(tmp_path) not in text and "Person" not in text


def test_the_synthetic_pictures_are_listed(full: Project, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_frames(full, out, real_pixels=True)
    assert (out / SYNTHETIC_FILES).read_text().splitlines() == [
        "training_set/synthetic_1.png",
        "training_set/synthetic_2.png",
    ]


def test_an_export_of_real_frames_alone(full: Project, tmp_path: Path) -> None:
    export_frames(full, tmp_path / "out", synthetic=False)
    card = (tmp_path / "out" / DATA_CARD).read_text(encoding="utf-8")
    assert "and 0 synthetic frames" in card and "rejected" not in card
    assert check_manifest(tmp_path / "out").whole


def test_many_files_are_a_set(project: Project, picture: Picture, tmp_path: Path) -> None:
    for i in range(12):
        project.frames.add(picture(i), name=f"f{i}", cohort="c", subject=str(i))
    export_frames(project, tmp_path / "out")
    described = json.loads((tmp_path / "out" / "croissant.json").read_text(encoding="utf-8"))
    sets = [d for d in described["distribution"] if d["@type"] == "cr:FileSet"]
    assert [s["includes"] for s in sets] == ["training_set/*.png"]
