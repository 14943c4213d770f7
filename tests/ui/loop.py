"""How the tests of Synthesise, Review and Train run the small jobs in the real engine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PySide6.QtWidgets import QTableWidget

from fetalstudio.core.convention import Convention
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.engine.cohort_conventions import Kept, drawn_for_pairs
from fetalstudio.engine.process.client import EngineClient
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import Annotation, Pair
from fetalstudio.ui.job_runner import JobHandle
from fetalstudio.ui.session import Session
from tests.ui.loop_jobs import ring, small


def use_small_jobs(monkeypatch: pytest.MonkeyPatch, session: Session) -> list[Any]:
    """From now on the session's jobs are those of ``loop_jobs``; returns the requests made."""
    submit, requests = session.engine.submit, []

    def submit_small(request: Any, replace: bool = False) -> JobHandle[Any]:
        requests.append(request)
        return submit(small(request), replace=replace)

    monkeypatch.setattr(session.engine, "submit", submit_small)
    return requests


class HandleFake(JobHandle[Any]):
    """A handle whose signals the test emits itself, for orders of events that are rare."""

    def __init__(self, client: EngineClient, request: Any) -> None:
        super().__init__(client, 0, request.job, getattr(request, "project", None))
        self.cancel_calls = 0

    def cancel(self) -> None:
        self.cancel_calls += 1


def use_fakes(monkeypatch: pytest.MonkeyPatch, session: Session) -> list[tuple[Any, HandleFake]]:
    """Jobs are not run: returns the (request, handle) of each as it comes."""
    made: list[tuple[Any, HandleFake]] = []

    def submit(request: Any, replace: bool = False) -> HandleFake:
        made.append((request, HandleFake(EngineClient(), request)))
        return made[-1][1]

    monkeypatch.setattr(session.engine, "submit", submit)
    return made


def newest(project: Project, frame_id: str) -> Annotation:
    """The newest annotation of a frame, which must have one."""
    annotation = project.annotations.newest(frame_id)
    assert annotation is not None
    return annotation


def add_pairs(project: Project, dices: list[float]) -> list[Pair]:
    """A pending pair of each quality, made from annotated frames."""
    pairs = []
    for i, (dice, annotation) in enumerate(
        zip(dices, project.annotations.by_frame().values(), strict=False)
    ):
        frame = project.frames.get(annotation.frame_id)
        ellipse = annotation.ellipse or Ellipse(400, 270, 200, 150, 0)
        pairs.append(
            project.pairs.add(
                ring(ellipse, frame.size, i),
                name=f"pair_{i}",
                ellipse=ellipse,
                cohort="synthetic",
                calibration=frame.calibration,
                quality={"dice": dice, "hc_difference": 0.01, "edge": 0.9},
                provenance={"synthesizer": "rings", "seed": i, "source_frame": frame.id},
            )
        )
    return pairs


def keep_convention(project: Project, cohort: str, convention: Convention | None) -> None:
    """Let this be what pairs of the cohort follow, as if it had been measured."""
    drawn = drawn_for_pairs(project, [cohort])
    Kept.for_pairs(project).keep({cohort: convention}, drawn)


def same(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    return a is not None and b is not None and np.array_equal(a, b)


def text_at(table: QTableWidget, row: int, column: int) -> str:
    """The text of a cell, which must be filled."""
    item = table.item(row, column)
    assert item is not None
    return item.text()
