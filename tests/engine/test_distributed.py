"""Batches, evaluations and fine-tuning by two processes: what one process makes."""

import json
import os
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from fetalstudio.project.project import Project
from fetalstudio.studies.campaigns.child import in_child
from tests.engine.shared_work import work

ROOT = Path(__file__).parents[2]
# Several processes are "multi_gpu" to accelerate, on CPUs too.
LAUNCH = "--multi_gpu --num_processes 2 --num_machines 1 --mixed_precision no --dynamo_backend no"


def _free_port() -> str:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return str(held.getsockname()[1])


def _launch(arguments: list[str], errors: Path) -> None:
    """In a process of its own: what ``accelerate launch`` does."""
    from accelerate.commands.launch import main

    os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT), 2)
    os.chdir(ROOT)
    os.environ["OMP_NUM_THREADS"] = "1"
    sys.argv = ["accelerate-launch", *arguments]
    main()


def _launched(project: Path, out: Path) -> dict[str, Any]:
    options = [*LAUNCH.split(), "--main_process_port", _free_port()]
    errors = out.with_name("errors")
    script = ["-m", "tests.engine.shared_work", str(project), str(out)]
    assert in_child(_launch, [*options, *script], errors, patience_s=300.0).status == 0, (
        errors.read_text()
    )
    result: dict[str, Any] = json.loads(out.read_text())
    return result


@pytest.mark.slow
def test_two_processes_make_what_one_makes(
    sample_project: Project, tmp_path: Path, forks: None
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(sample_project.path, copy)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the processes that are launched
    try:
        one = work(sample_project.path)
    finally:
        torch.set_num_threads(threads)
    two = _launched(copy, tmp_path / "two.json")
    assert (one["processes"], two["processes"]) == (1, 2)
    assert two["pixels"] == one["pixels"] and len(one["pixels"]) == 3
    assert two["dice"] == one["dice"] and len(one["dice"]) == 5
    # Half batches summed: other last digits, and bfloat16 where the CPU has it.
    assert two["curve"] == pytest.approx(one["curve"], rel=0.01)
    assert len(one["curve"]) == 3 and one["curve"][2] != one["curve"][0]
    assert two["weights"].keys() == one["weights"].keys()
    for name, total in one["weights"].items():
        assert two["weights"][name] == pytest.approx(total, rel=0.01)
