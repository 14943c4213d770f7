"""A subject's part is stored when it is first used, and stays."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from fetalstudio.core.errors import UserError
from fetalstudio.project.project import Project


def _add(project: Project, subject: str) -> str:
    seed = int.from_bytes(subject.encode(), "big")
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 48)).astype(np.uint8)
    frame, _ = project.frames.add(pixels, name=subject, cohort="c", subject=subject)
    return frame.id


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.create(tmp_path / "p")


def test_no_part_changes_as_the_project_grows(project: Project) -> None:
    seen: dict[str, str] = {}
    for count in range(3, 60):
        parts = project.parts.divide(f"s{i}" for i in range(count))
        assert {subject: parts[subject] for subject in seen} == seen
        seen = dict(parts)
    shares = Counter(seen.values())
    assert shares["test"] == pytest.approx(0.25 * len(seen), abs=1)
    assert shares["validation"] == pytest.approx(0.15 * len(seen), abs=1)


def test_a_plan_stores_nothing_and_is_what_is_stored_then(project: Project) -> None:
    subjects = [f"s{i}" for i in range(12)]
    planned = project.parts.plan(subjects)
    assert project.parts.stored() == {}
    assert project.parts.divide(subjects) == planned == project.parts.stored()


def test_each_cohort_gets_its_shares(project: Project) -> None:
    project.parts.divide(f"a{i}" for i in range(20))
    parts = project.parts.divide(f"b{i}" for i in range(20))
    assert Counter(parts.values()) == {"train": 12, "test": 5, "validation": 3}


def test_a_corrected_key_keeps_the_part(project: Project) -> None:
    subjects = [f"s{i}" for i in range(8)]
    frames = {subject: _add(project, subject) for subject in subjects}
    parts = project.parts.divide(subjects)
    tested = next(subject for subject, part in parts.items() if part == "test")
    trained = next(subject for subject, part in parts.items() if part == "train")

    project.amendments.set_subject([frames[tested]], "corrected", author="me")
    assert project.parts.stored()["corrected"] == "test"

    # A subject that was used before keeps its own part, whatever joins it.
    project.amendments.set_subject([frames[tested]], trained, author="me")
    assert project.parts.stored()[trained] == "train"


def test_a_key_goes_with_the_last_frame_and_cannot_be_changed(project: Project) -> None:
    frames = {subject: _add(project, subject) for subject in ("x", "y", "z")}
    project.parts.divide(frames)
    project.amendments.remove([frames["x"]], author="me")
    assert set(project.parts.stored()) == {"x", "y", "z"}
    project.purge()
    assert set(project.parts.stored()) == {"y", "z"}


def test_a_damaged_part_is_named(project: Project) -> None:
    project.parts.divide(["x", "y", "z"])
    project._storage.database.execute("DROP TRIGGER parts_no_update")
    project._storage.database.execute("PRAGMA ignore_check_constraints = ON")
    project._storage.database.execute("UPDATE parts SET part = 'holiday' WHERE subject = 'x'")
    assert set(project.parts.stored()) == {"y", "z"}
    assert any("the part of subject x is damaged" in said for said in project.damage)


def test_the_database_refuses_another_part(project: Project) -> None:
    project.parts.divide(["x", "y", "z"])
    with pytest.raises((UserError, RuntimeError), match="only appended"):
        project._storage.database.execute("UPDATE parts SET part = 'test'")
