"""Trains the detail stage of a synthesizer."""

from __future__ import annotations

import argparse
import io
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

import numpy as np
import torch

from fetalstudio.core.errors import UserError
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.sector import tissue_mask
from fetalstudio.engine.models.loading import load_compact
from fetalstudio.formats.files import write_bytes
from fetalstudio.learning import until_stopped
from fetalstudio.studies.fidelity import fidelity
from fetalstudio.studies.log import say
from fetalstudio.studies.pretrain.learnt_from import training_data
from fetalstudio.studies.pretrain.running import run_of
from fetalstudio.synthesis.detail import Detail, DetailNet
from fetalstudio.synthesis.detail_training import (
    SIZES,
    DetailSettings,
    Material,
    canvases_of,
    material_of,
    train_detail,
)
from fetalstudio.synthesis.equaliser import fine_power
from fetalstudio.synthesis.lift import FILE as LIFT
from fetalstudio.synthesis.scene import Scene
from fetalstudio.synthesis.synthesizer import Synthesizer

_EQUALISED = 90
"""Examples by which the equaliser is set, at most."""
_ROUNDS = 3


def build(data: Mapping[str, list[LabelledFrame]], options: argparse.Namespace) -> None:
    """Complete the synthesizer ``--start`` in a copy of its folder, and measure it again."""
    parent = load_compact(options.start)
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
        net = train_detail(material, settings, run_of(options, stopped))
    synthesizer = Synthesizer(
        parent.pipeline, parent.card, finish=Detail(net), find_head=parent.find_head
    )
    equalised = equalise(synthesizer, net, examples)
    detail = {
        **training_data(data["train"], asdict(settings), 0, options.kind),
        "sizes": list(SIZES),
        "canvases_of": parent.hash,
        "equalised_on": equalised,
    }
    card = replace(
        parent.card,
        architecture={**parent.card.architecture, "detail": {"width": settings.width}},
        training_data={**parent.card.training_data, "detail": detail},
    )
    shutil.copytree(options.start, options.out, dirs_exist_ok=True)
    (options.out / LIFT).unlink(missing_ok=True)
    synthesizer.card = card
    synthesizer.save(options.out)
    card = replace(card, metrics=fidelity(synthesizer, data["test"]))
    card.write(options.out)
    say(str(card.metrics))


def equalise(synthesizer: Synthesizer, net: DetailNet, examples: Sequence[LabelledFrame]) -> int:
    """Set the gains of ``net``, which finishes the images of ``synthesizer``, by some examples.

    An image is made for each, on its sector and for its ellipse. Returns the number of examples.
    Raises :class:`UserError` if none shows enough tissue.
    """
    wanted = []
    for example in examples[:: -(-len(examples) // _EQUALISED)]:
        tissue = tissue_mask(example.image)
        if (power := fine_power(example.image, tissue)) is not None:
            wanted.append((example, tissue, power))
    if not wanted:
        raise UserError("No frame shows enough tissue to measure its texture. Add frames.")
    real = [power for _, _, power in wanted]
    for _ in range(_ROUNDS):
        made = []
        for seed, (example, tissue, _) in enumerate(wanted):
            scene = Scene(example.ellipse, example.size, example.style, example.image)
            power = fine_power(synthesizer.generate([scene], [seed])[0], tissue)
            assert power is not None  # there are as many windows as in the real frame
            made.append(power)
        off = np.abs(np.mean(np.log10(np.divide(made, real)), axis=0)).mean()
        say(f"fine power off by {off:.3f} decades on {len(real)} frames before this round")
        net.gains.copy_(torch.from_numpy(net.equaliser.corrected(real, made).gains))
    return len(real)
