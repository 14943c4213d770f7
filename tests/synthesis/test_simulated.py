"""The style "simulated" of a synthesizer: no network has a part in it."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.formats.model_card import ModelCard
from fetalstudio.simulation import VERSION
from fetalstudio.synthesis.conditions import STYLES
from fetalstudio.synthesis.scene import Scene
from fetalstudio.synthesis.simulated import SIMULATED
from fetalstudio.synthesis.synthesizer import Synthesizer

HEAD = Ellipse(192, 130, 110, 84, 8)
SIZE = (384, 256)
SCENES = [Scene(HEAD, SIZE, SIMULATED), Scene(Ellipse(190, 120, 60, 50, 0), SIZE, SIMULATED)]


@pytest.fixture
def synthesizer() -> Synthesizer:
    """Without a network: asking it for a picture would fail."""
    card = ModelCard("none", "synthesizer", {}, {}, "Apache-2.0", {})
    nothing: Any = SimpleNamespace(
        config=SimpleNamespace(default_steps=8, default_guidance=2.0),
    )
    return Synthesizer(nothing, card)


def test_each_picture_depends_on_its_seed_alone(synthesizer: Synthesizer) -> None:
    both = synthesizer.generate(SCENES, [3, 4])
    alone = synthesizer.generate(SCENES[1:], [4])
    np.testing.assert_array_equal(both[1], alone[0])
    assert all(picture.shape == (256, 384) for picture in both)
    assert (synthesizer.generate(SCENES[:1], [5])[0] != both[0]).mean() > 0.5


def test_the_sector_is_that_of_the_reference(synthesizer: Synthesizer) -> None:
    reference = np.zeros((256, 384), np.uint8)
    reference[10:240, 70:330] = 90
    picture = synthesizer.generate([Scene(HEAD, SIZE, SIMULATED, reference)], [3])[0]
    assert not picture[:, :60].any() and not picture[:, 340:].any()
    assert picture[20:230, 80:320].mean() > 10
    # As with the network, a frame that is all black tells nothing of the sector.
    black = Scene(HEAD, SIZE, SIMULATED, np.zeros((256, 384), np.uint8))
    assert synthesizer.generate([black], [3])[0].mean() > 10


def test_the_references_surroundings_can_stay(synthesizer: Synthesizer) -> None:
    reference = np.random.default_rng(0).integers(50, 90, (256, 384)).astype(np.uint8)
    scene = Scene(Ellipse(192, 128, 60, 45, 0), SIZE, SIMULATED, reference, HEAD)
    picture = synthesizer.generate([scene], [3])[0]
    far = HEAD.sdf(SIZE) > HEAD.b
    np.testing.assert_array_equal(picture[far], reference[far])
    assert (picture[HEAD.mask(SIZE) > 0] != reference[HEAD.mask(SIZE) > 0]).mean() > 0.9


def test_a_step_is_a_picture_and_may_stop_the_rest(synthesizer: Synthesizer) -> None:
    steps: list[tuple[int, int, tuple[int, ...]]] = []
    synthesizer.generate(
        SCENES, [0, 1], on_step=lambda done, total, draw: steps.append((done, total, draw().shape))
    )
    assert steps == [(1, 2, (256, 384)), (2, 2, (256, 384))]

    def stop(done: int, *_: object) -> None:
        steps.append((done, 0, ()))
        raise InterruptedError

    with pytest.raises(InterruptedError):
        synthesizer.generate(SCENES, [0, 1], on_step=stop)
    assert len(steps) == 3


def test_the_provenance_names_the_simulator_and_no_model(synthesizer: Synthesizer) -> None:
    provenance = synthesizer.provenance(seed=4, steps=8, guidance=2.0, style=SIMULATED)
    assert provenance == {
        "synthesizer": "simulator",
        "simulator_version": VERSION,
        "seed": 4,
        "style": SIMULATED,
    }


def test_it_is_no_style_of_the_network_and_never_in_one_batch_with_it(
    synthesizer: Synthesizer,
) -> None:
    assert SIMULATED not in STYLES
    with pytest.raises(InputError, match="batch of their own"):
        synthesizer.generate([SCENES[0], Scene(HEAD, SIZE, "any")], [0, 1])
    with pytest.raises(InputError, match="off the 384x256"):
        synthesizer.generate([Scene(Ellipse(900, 130, 50, 40, 0), SIZE, SIMULATED)], [0])
