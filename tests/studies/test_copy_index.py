"""Writing a model's copy index again from its training frames."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.engine.models.loading import find_model
from fetalstudio.formats.neighbours import FILE, read_neighbours
from fetalstudio.project.project import Project
from fetalstudio.studies.copy_index import main


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the built-in synthesizer, whose training frames are in no project here."""
    folder = tmp_path / "model"
    shutil.copytree(find_model("synthesizer", "compact").folder, folder)
    return folder


def _project(path: Path, subjects: int) -> list[str]:
    """A project with an annotated frame of each subject; returns the frames' ids."""
    rng = np.random.default_rng(0)
    ids = []
    with Project.create(path) as project:
        for i in range(subjects):
            frame, _ = project.frames.add(
                rng.integers(0, 256, (64, 64), dtype=np.uint8),
                name=f"f{i}",
                cohort="c",
                subject=f"s{i}",
            )
            head = Ellipse(30, 30, 20, 15, i)
            project.annotations.add(frame.id, head, author="t", state="final")
            ids.append(frame.id)
    return ids


def test_the_index_describes_the_frames_that_the_model_names(tmp_path: Path, model: Path) -> None:
    ids = _project(tmp_path / "p", subjects=52)
    named = sorted(i[:16] for i in ids[:50])
    (model / "training_frames.txt").write_text("\n".join(named))
    main([str(tmp_path / "p"), str(model)])
    found = read_neighbours(model)
    assert found is not None and sorted(found.ids) == named


def test_a_project_without_the_frames_leaves_the_index_as_it_is(
    tmp_path: Path, model: Path
) -> None:
    _project(tmp_path / "p", subjects=1)
    before = (model / FILE).read_bytes()
    with pytest.raises(SystemExit, match="holds 0 of"):
        main([str(tmp_path / "p"), str(model)])
    assert (model / FILE).read_bytes() == before


def test_too_few_subjects_are_refused_in_a_sentence(tmp_path: Path, model: Path) -> None:
    ids = _project(tmp_path / "p", subjects=2)
    (model / "training_frames.txt").write_text("\n".join(i[:16] for i in ids))
    with pytest.raises(SystemExit, match="50"):
        main([str(tmp_path / "p"), str(model)])
