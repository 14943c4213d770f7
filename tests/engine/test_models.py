"""What is loaded is what the folders hold now, and what is missing is said."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from fetalstudio.core.errors import InputError
from fetalstudio.engine.models import loading
from fetalstudio.engine.models.loading import find_model, judge_model, load_neighbours
from fetalstudio.formats.model_card import CARD
from fetalstudio.formats.neighbours import FILE, read_neighbours, write_neighbours


def test_a_file_that_is_replaced_by_an_older_one_or_taken_away_is_noticed(tmp_path: Path) -> None:
    built_in = find_model("synthesizer", "compact")
    known = read_neighbours(built_in.folder)
    assert known is not None
    model = replace(built_in, folder=tmp_path)
    write_neighbours(known, tmp_path)
    (tmp_path / "model.json").touch()  # the newest of the folder, all along
    first = load_neighbours(model)
    assert first is not None and load_neighbours(model) is first
    write_neighbours(replace(known, threshold=0.5), tmp_path)
    os.utime(tmp_path / FILE, (1e9, 1e9))
    second = load_neighbours(model)
    assert second is not None and second.threshold == 0.5
    (tmp_path / FILE).unlink()
    assert load_neighbours(model) is None


def test_a_judge_that_is_missing_or_damaged_is_said_with_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = judge_model().folder / CARD
    monkeypatch.setattr(loading, "models_dir", lambda: tmp_path)
    cure = "Install FetalStudio again"
    with pytest.raises(InputError, match=f"judge.* is missing or damaged.*{cure}"):
        judge_model()
    (tmp_path / "judge").mkdir()
    (tmp_path / "judge" / CARD).write_bytes(card.read_bytes()[:-9])
    with pytest.raises(InputError, match=f"judge.* is missing or damaged.*{cure}"):
        judge_model()
    (tmp_path / "judge" / CARD).write_bytes(card.read_bytes())
    with pytest.raises(InputError, match=f"segmenter judge .*holds no weights.*{cure}"):
        judge_model()
