import numpy as np
import pytest

from fetalstudio.core.biometry import trimester
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.simulation import random_scene, scene_for
from fetalstudio.simulation.scene import TRIMESTERS, TYPICAL_HC_MM

HEAD = Ellipse(400, 270, 240, 180, 10)
SIZE = (800, 540)


@pytest.mark.parametrize("kind", TRIMESTERS)
def test_random_heads_are_of_their_trimester_and_mostly_in_the_sector(kind: str) -> None:
    scenes = [random_scene(seed, trimester_=kind) for seed in range(40)]  # type: ignore[arg-type]
    for scene in scenes:
        assert trimester(scene.ellipse.perimeter * scene.mm_per_px) == kind == scene.trimester
        assert 0.65 <= scene.ellipse.b / scene.ellipse.a <= 0.916  # 78.3 %, three SD of 4.4
        inside = scene.ellipse.mask(scene.size) & scene.probe.sector(scene.size)
        assert inside.sum() > 0.6 * scene.ellipse.area
    # That of a head at the age at which most are measured.
    hc = np.median([s.ellipse.perimeter * s.mm_per_px for s in scenes])
    assert hc == pytest.approx(TYPICAL_HC_MM[kind], rel=0.1)
    assert len({s.probe for s in scenes}) == 40


def test_all_trimesters_come_up_and_equal_seeds_give_equal_scenes() -> None:
    assert {random_scene(seed).trimester for seed in range(20)} == set(TRIMESTERS)
    assert random_scene(3) == random_scene(3) != random_scene(4)


def test_the_trimester_follows_from_what_is_known() -> None:
    small = Ellipse(400, 270, 120, 100, 0)
    assert scene_for(HEAD, SIZE, 0, mm_per_px=0.06).trimester == "first"
    assert scene_for(HEAD, SIZE, 0, mm_per_px=0.24).trimester == "third"
    assert scene_for(small, SIZE, 0).trimester == "first"
    assert {scene_for(HEAD, SIZE, seed).trimester for seed in range(30)} == {"second", "third"}
    scene = scene_for(small, SIZE, 0, trimester_="third")
    assert scene.mm_per_px * small.perimeter == pytest.approx(TYPICAL_HC_MM["third"])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"ellipse": Ellipse(2000, 270, 240, 180, 10)}, "off the 800x540"),
        ({"mm_per_px": 0.0}, "not possible"),
        ({"mm_per_px": float("nan")}, "not possible"),
        ({"sector": np.ones((10, 10), np.uint8)}, "800x540"),
        ({"sector": np.zeros((540, 800), np.uint8)}, "sector is empty"),
    ],
)
def test_impossible_scenes_are_refused(values: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        scene_for(**{"ellipse": HEAD, "size": SIZE, "seed": 0, **values})
