"""The choice of an encoder: one run trains, measures, times and tabulates."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.project.project import Project
from fetalstudio.segmentation.compact import CompactConfig, build_compact
from fetalstudio.segmentation.segmenter import Segmenter, compact_card
from fetalstudio.studies import encoders
from fetalstudio.studies.encoders import figures, table

TINY = CompactConfig(image_size=64, widths=(8, 8, 16, 32), blocks=(1, 1, 1), attention=1)


def test_every_frame_counts_as_it_is_and_in_its_copies() -> None:
    torch.manual_seed(0)
    segmenter = Segmenter(build_compact(TINY), compact_card("tiny", TINY))
    head = Ellipse(60, 40, 28, 20, 30)
    image = (60 + 100 * head.mask((120, 80))).astype(np.uint8)
    found = figures(segmenter, [LabelledFrame.of(image, head, subject="s1")] * 2, copies=2)
    assert (found["n"], found["subjects"]) == (6, 1)
    assert 0 <= found["dice"] <= 1 and found["ms"] > 0
    assert found["parameters"] == sum(p.numel() for p in segmenter.sam.parameters())


def test_a_run_trains_measures_and_adds_to_the_table(
    sample_project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoders, "ENCODERS", {"built-in": TINY, "narrow": TINY})
    small = ["--steps", "1", "--batch", "2", "--frames", "2", "--copies", "0"]
    for name in ("narrow", "built-in"):
        encoders.main([str(sample_project.path), str(tmp_path), "--encoders", name, *small])
    assert json.loads((tmp_path / "narrow.json").read_text())["figures"]["n"] >= 1
    rows = (tmp_path / "encoders.md").read_text().splitlines()[2:]
    assert [row.split(" | ")[0] for row in rows] == ["| built-in", "| narrow"]
    assert "8, 8, 16, 32; 1; 64 px" in rows[0]
    assert table(tmp_path / "empty").count("\n") == 2


def test_a_project_without_frames_is_told(tmp_path: Path) -> None:
    Project.create(tmp_path / "empty").close()
    with pytest.raises(SystemExit, match="no annotated frame"):
        encoders.main([str(tmp_path / "empty"), str(tmp_path / "out")])
