"""What is kept loaded is what the folder holds now."""

import os
from dataclasses import replace
from pathlib import Path

from fetalstudio.engine.models.loading import find_model, load_neighbours
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
