"""Trains the detail stage of a synthesizer."""

from __future__ import annotations

import argparse
import io
import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace

import numpy as np

from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.formats.files import write_bytes
from fetalstudio.learning import Watch, pick_device, until_stopped
from fetalstudio.studies.fidelity import fidelity
from fetalstudio.studies.pretrain.learnt_from import training_data
from fetalstudio.studies.pretrain.log import Log, say
from fetalstudio.synthesis.detail import Detail
from fetalstudio.synthesis.detail_training import (
    SIZES,
    DetailSettings,
    Material,
    canvases_of,
    material_of,
    train_detail,
)
from fetalstudio.synthesis.lift import FILE as LIFT
from fetalstudio.synthesis.synthesizer import Synthesizer


def build(data: Mapping[str, list[LabelledFrame]], options: argparse.Namespace) -> None:
    """Complete the synthesizer ``--start`` in a copy of its folder, and measure it again."""
    parent = Synthesizer.load(options.start)
    settings = DetailSettings(steps=options.steps, batch=options.batch, seed=options.seed)
    if options.learning_rate is not None:
        settings = replace(settings, learning_rate=options.learning_rate)
    kept = options.checkpoint.with_suffix(".canvases") / parent.hash[:12]
    examples = [frame.loaded() for frame in data["train"]]
    with until_stopped() as stopped:
        # Canvases take longer than the rest of the preparation, so they are kept.
        material: list[Material] = []
        for seed, example in enumerate(examples):
            if stopped[0]:
                return
            path = kept / f"{example.id}.npy"
            if not path.exists():
                stream = io.BytesIO()
                np.save(stream, canvases_of(parent.pipeline, [example], [seed])[0])
                write_bytes(path, stream.getvalue())
            material += material_of(example, np.load(path))
            if (seed + 1) % 50 == 0:
                say(f"{seed + 1} of {len(examples)} frames prepared")
        net = train_detail(
            material,
            settings,
            options.checkpoint,
            device=pick_device(),
            watch=Watch(Log(), lambda: stopped[0]),
        )
    detail = {
        **training_data(data["train"], asdict(settings), 0, options.kind),
        "sizes": list(SIZES),
        "canvases_of": parent.hash,
    }
    card = replace(
        parent.card,
        architecture={**parent.card.architecture, "detail": {"width": settings.width}},
        training_data={**parent.card.training_data, "detail": detail},
    )
    shutil.copytree(options.start, options.out, dirs_exist_ok=True)
    (options.out / LIFT).unlink(missing_ok=True)
    synthesizer = Synthesizer(parent.pipeline, card, "unsaved", Detail(net))
    synthesizer.save(options.out)
    card = replace(card, metrics=fidelity(synthesizer, data["test"]))
    card.write(options.out)
    say(str(card.metrics))
