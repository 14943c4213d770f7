"""What the engine makes of simulated frames: finds heads in them, asks for them, learns them."""

from dataclasses import replace

import numpy as np
import pytest

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.sector import sector_mask
from fetalstudio.engine.jobs.sample import job as sample
from fetalstudio.engine.jobs.sample.request import SampleRequest
from fetalstudio.engine.jobs.synthesize import job as synthesize
from fetalstudio.engine.jobs.synthesize.request import SynthesizeRequest
from fetalstudio.engine.models.loading import judge_model, load_segmenter
from fetalstudio.engine.process.events import Event, Warned
from fetalstudio.engine.quality import edge_score, pair_quality
from fetalstudio.formats.tables.ellipse_table import NamedEllipse
from fetalstudio.project.project import Project
from fetalstudio.simulation.scene import TRIMESTERS
from tests.simulated import labelled


@pytest.mark.parametrize("kind", TRIMESTERS)
def test_the_built_in_segmenter_finds_simulated_heads(kind: str) -> None:
    judge = load_segmenter(judge_model())
    frames = labelled(4, seed=4, trimester=kind)  # type: ignore[arg-type]
    dice = [pair_quality(judge, image, ellipse)["dice"] for image, ellipse in frames]
    assert np.mean(dice) > 0.93


def test_a_skull_is_seen_on_the_ellipse_and_not_elsewhere() -> None:
    for image, ellipse in labelled(4, seed=1, trimester="second"):
        assert edge_score(image, ellipse) > 0.5
        other = type(ellipse)(ellipse.cx + 25, ellipse.cy + 20, 60, 45, 100)
        assert edge_score(image, ellipse) > edge_score(image, other) + 0.2


def test_a_sample_is_simulated_on_request_and_says_so() -> None:
    (_, ellipse) = labelled(1, seed=8, trimester="second")[0]
    request = SampleRequest(ellipse, (384, 256), style="simulated", seed=5)
    steps: list[object] = []
    result = sample.run(request, steps.append, lambda: False)
    again = sample.run(request, steps.append, lambda: False)
    np.testing.assert_array_equal(result.image, again.image)
    assert result.image.shape == (256, 384) and edge_score(result.image, ellipse) > 0.5
    assert result.provenance["synthesizer"] == "simulator"
    assert result.provenance["style"] == "simulated" and result.provenance["seed"] == 5
    assert result.quality["dice"] > 0.9


def test_the_scale_is_the_frames_and_a_guessed_one_is_called_so(sample_project: Project) -> None:
    (_, ellipse) = labelled(1, seed=8, trimester="second")[0]
    guessed = SampleRequest(ellipse, (384, 256), style="simulated", seed=5, measure=False)
    small = replace(guessed, calibration=Calibration(0.05, 0.05, "manual"))
    pictures = [sample.run(r, lambda _event: None, lambda: False) for r in (guessed, small)]
    assert [p.provenance["scale"] for p in pictures] == ["guessed", "calibrated"]
    assert (pictures[0].image != pictures[1].image).mean() > 0.5

    heads = tuple(NamedEllipse(name, ellipse, (384, 256)) for name in "ab")
    request = SynthesizeRequest(
        sample_project.path, ellipses=heads, style="simulated", sector="made"
    )
    heard: list[Event] = []
    synthesize.run(request, heard.append, lambda: False)
    (warning,) = (event.message for event in heard if isinstance(event, Warned))
    assert warning.startswith("2 of 2 heads have no calibration, so the simulated scanner guesses")
    assert {p.provenance["scale"] for p in sample_project.pairs.all()} == {"guessed"}


def test_simulated_pairs_take_the_sector_of_their_frame(sample_project: Project) -> None:
    request = SynthesizeRequest(sample_project.path, count=2, style="simulated", seed=1)
    heard: list[Event] = []
    result = synthesize.run(request, heard.append, lambda: False)
    assert not any(isinstance(event, Warned) for event in heard), "these frames are calibrated"
    pairs = sample_project.pairs.all(state="pending")
    assert len(pairs) == len(result.pair_ids) == 2
    for pair in pairs:
        assert pair.provenance["synthesizer"] == "simulator"
        assert pair.provenance["scale"] == "calibrated"
        source = sample_project.frames.pixels(pair.provenance["source_frame"])
        made = sample_project.frames.pixels(pair.frame.id)
        assert made.shape == source.shape
        sector = sector_mask(source)
        assert 0.02 < (sector == 0).mean() < 0.9 and not made[sector == 0].any()
        assert made[sector > 0].mean() > 5


def test_window_and_command_line_offer_every_style() -> None:
    from fetalstudio.cli.main import _parser
    from fetalstudio.synthesis.conditions import STYLES
    from fetalstudio.synthesis.simulated import SIMULATED
    from fetalstudio.ui.synthesise import synthesis_controls

    every = ["auto", *STYLES, SIMULATED]
    assert list(synthesis_controls.STYLES) == every
    for style in every:
        options = _parser().parse_args(["synthesize", "project", "--style", style])
        assert options.style == style
