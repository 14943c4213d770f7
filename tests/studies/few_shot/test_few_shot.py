"""The study by number of real frames: what it does once, and what it shows."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from fetalstudio.engine.cohort_split import bundled_parts, labelled_frames, of_part
from fetalstudio.engine.jobs.experiment.findings import Trained
from fetalstudio.engine.jobs.experiment.mixes import BEFORE, MIXES, POSITIVE, SYNTHETIC
from fetalstudio.engine.models.loading import find_model
from fetalstudio.formats.pictures.picture_files import read_image
from fetalstudio.project.project import Project
from fetalstudio.studies.few_shot.__main__ import main
from fetalstudio.studies.few_shot.figure import figure, long_table, markdown, points_of
from tests.synthesis.tiny_synthesizer import tiny_synthesizer

SUBJECTS = [f"s{i // 2}" for i in range(40)]


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A synthesizer without a head, a lift or frames that it remembers."""
    tiny_synthesizer().save(tmp_path / "tiny")
    return tmp_path / "tiny"


def run(project: Project, synthesizer: Path, out: Path, *more: str) -> None:
    segmenter = find_model("segmenter", "judge").folder
    models = ["--segmenter", str(segmenter), "--synthesizer", str(synthesizer)]
    small = ["--real", "2", "--seeds", "1", "--epochs", "1", "--pairs", "2", "--test", "2"]
    few = ["--adapt-steps", "1", "--threads", str(torch.get_num_threads())]
    main([str(project.path), str(out), *models, *small, *few, *more])


def rows(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_a_study_goes_on_where_it_was_cut_short(
    sample_project: Project,
    tiny: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The tiny synthesizer draws no skull by which pairs could be kept.
    monkeypatch.setattr("fetalstudio.studies.pairs.making.edge_score", lambda *_: 1.0)
    out = tmp_path / "out"
    run(sample_project, tiny, out)
    first = rows(out)
    assert [r["mix"] for r in first] == [BEFORE, *MIXES]
    assert {r["real"] for r in first[1:]} == {2}
    assert len({r["steps"] for r in first if r["mix"] in (SYNTHETIC, "real_steps")}) == 1
    said = capsys.readouterr()
    assert "of 2 held-out subjects" in said.out and "N=2 seed 0: 2 pairs" in said.err
    assert read_image(out / "study.png").size > 0
    assert list((out / "pairs" / "2-0").glob("*.png")) and not list(out.rglob("*.pt"))
    frames = labelled_frames(sample_project)
    held_out = [frame.id for frame in of_part(frames, bundled_parts(frames), "test")]
    # The two test frames are spread over the test part, whose frames are sorted by trimester.
    test = json.loads((out / "settings.json").read_text())["test"]
    assert len(held_out) > 2 and test == [held_out[0], held_out[len(held_out) // 2]]

    # Killed in the middle of a line, and asked for another seed.
    lines = (out / "results.jsonl").read_text().splitlines()
    (out / "results.jsonl").write_text("\n".join([*lines[:-1], lines[-1][:40]]))
    stamp = (out / "pairs" / "2-0" / "made.jsonl").stat().st_mtime_ns
    run(sample_project, tiny, out)
    again = rows(out)
    assert again[:-1] == first[:-1] and again[-1]["dice"] == first[-1]["dice"]
    assert (out / "pairs" / "2-0" / "made.jsonl").stat().st_mtime_ns == stamp


def test_other_settings_are_another_study(
    sample_project: Project, tiny: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "settings.json").write_text('{"epochs": 9}')
    with pytest.raises(SystemExit, match=r"holds a study with other settings .*epochs"):
        run(sample_project, tiny, out)
    with pytest.raises(SystemExit, match="999 real frames were requested"):
        run(sample_project, tiny, tmp_path / "other", "--real", "999")
    assert not (out / "results.jsonl").exists()


def _rows(gain: float, reals: tuple[int, ...] = (5, 20)) -> list[tuple[int, Trained]]:
    rng = np.random.default_rng(0)
    made = [(0, Trained(BEFORE, 0, (0.8,) * 40, 0, 0.0))]
    for real in reals:
        for seed in range(5):
            base = rng.uniform(0.9, 0.95, 40)
            for mix in MIXES:
                more = gain if mix == SYNTHETIC and real < 10 else 0.0
                more = 0.01 if mix == POSITIVE else more
                made.append((real, Trained(mix, seed, tuple(base + more), 5, 1.0)))
    return made


def test_tables_say_where_the_pairs_help_and_where_they_do_not() -> None:
    points = points_of(_rows(0.01), SUBJECTS, 60)
    assert [p.real for p in points] == [5, 20]
    assert points[0].gain.mean == pytest.approx(0.01) and points[1].gain.mean == 0
    text = markdown(points, "40 test frames of 20 held-out subjects", 5)
    assert "Before any training: 0.8000" in text
    assert "- 5 real frames: the pairs help (+1.00 (+1.00 to +1.00) points" in text
    assert "- 20 real frames: the pairs make no difference that matters" in text
    table = list(csv.DictReader(long_table(points).splitlines()))
    assert len(table) == 2 * (1 + len(MIXES))
    assert float(table[1]["low"]) <= float(table[1]["dice"]) <= float(table[1]["high"])


def test_the_figure_draws_what_it_is_given() -> None:
    tested = "40 test frames of 20 held-out subjects"
    empty = figure([], tested)
    one = figure(points_of(_rows(0.01, (5,)), SUBJECTS, 60), tested)
    two = figure(points_of(_rows(0.01), SUBJECTS, 60), tested)
    better = figure(points_of(_rows(0.03), SUBJECTS, 60), tested)
    for a, b in ((empty, one), (one, two), (two, better)):
        assert a.shape == (1080, 1400, 3) and (a != b).any()


def test_a_number_counts_once_all_its_mixes_are_done() -> None:
    half = [row for row in _rows(0.01) if row[0] != 20 or row[1].mix != "real"]
    assert [p.real for p in points_of(half, SUBJECTS, 60)] == [5]
