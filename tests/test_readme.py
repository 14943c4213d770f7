"""The README's example in Python runs as it stands."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from fetalstudio.project.project import Project

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.slow
def test_from_a_folder_of_frames_to_an_evaluated_model(
    tmp_path: Path,
    samples: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len([line for line in block.splitlines() if line.strip()]) <= 10
    shutil.copytree(samples, tmp_path / "frames")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(block, str(README), "exec"), names)
    assert re.search(r"Dice.* 0\.9\d+ \[0\.\d+, 0\.\d+\]$", capsys.readouterr().out.strip())
    with Project.open(tmp_path / "heads") as project:
        assert len(project.frames.all(cohort="Scanner A")) == 24
        assert len(project.pairs.all(state="accepted")) == 4
        assert [run.state for run in project.runs.all()].count("finished") >= 1
