"""What `test_distributed` runs in its own process and, by accelerate's launcher, in two others: the
same jobs on a project, and what came of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

from fetalstudio import distributed


def work(path: Path) -> dict[str, Any]:
    from fetalstudio.core.training_settings import TrainingSettings
    from fetalstudio.engine.jobs.evaluate.request import EvaluateRequest
    from fetalstudio.engine.jobs.synthesize.request import SynthesizeRequest
    from fetalstudio.engine.jobs.train.request import TrainRequest
    from fetalstudio.engine.process.local import run_job
    from fetalstudio.project.project import Project

    run_job(SynthesizeRequest(path, count=3, steps=1))
    settings = TrainingSettings(epochs=2, batch=3, learning_rate=3e-4, copies=1)
    train = TrainRequest(path, real=4, synthetic=0, settings=settings)
    trained = run_job(train)
    with Project.open(path) as project:
        ids = tuple(frame.id for frame in project.frames.all(annotated=True))[:5]
        pixels = [int(project.frames.pixels(pair.frame.id).sum()) for pair in project.pairs.all()]
        curve = [row["validation_loss"] for row in project.runs.get(trained.run_id).history]
    evaluated = run_job(EvaluateRequest(path, segmenter="compact", frame_ids=ids))
    weights = {}
    model = path / "models" / str(trained.run_id) / "model.safetensors"
    if model.exists():
        weights = {k: float(abs(v.astype(float)).sum()) for k, v in load_file(model).items()}
    return {
        "processes": distributed.size(),
        "pixels": pixels,
        "dice": [score.dice for score in evaluated.frames],
        "curve": curve,
        "weights": weights,
    }


if __name__ == "__main__":
    if distributed.rank() > 0:
        distributed.follow()
    else:
        result = work(Path(sys.argv[1]))
        Path(sys.argv[2]).write_text(json.dumps(result))
        distributed.dismiss()
    distributed.end(0)
