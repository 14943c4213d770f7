"""The bundled synthesizer: skulls stand on the drawn ellipses, at the frame's own size."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.sector import sector_mask, tissue_mask
from fetalstudio.core.spectrum import tissue_power
from fetalstudio.engine.models.loading import (
    find_model,
    judge_model,
    load_segmenter,
    load_synthesizer,
)
from fetalstudio.engine.quality import edge_score, pair_quality
from fetalstudio.formats.pictures.picture_files import read_image
from fetalstudio.resources import samples_dir
from fetalstudio.synthesis.scene import Scene
from fetalstudio.synthesis.synthesizer import Synthesizer

SCENE = Scene(Ellipse(400, 270, 240, 180, 10), (800, 540), "second")


@pytest.fixture(scope="module")
def bundled() -> Synthesizer:
    model = load_synthesizer(find_model("synthesizer", "compact"))
    assert isinstance(model, Synthesizer)
    return model


def test_the_picture_has_the_frames_size_and_the_skull_its_place(bundled: Synthesizer) -> None:
    image = bundled.generate([SCENE], [3])[0]
    assert image.shape == (540, 800) and image.dtype == np.uint8
    elsewhere = Ellipse(330, 200, 130, 100, 100)
    assert edge_score(image, SCENE.ellipse) > 0.4
    assert edge_score(image, SCENE.ellipse) > edge_score(image, elsewhere) + 0.2


def test_heads_are_moved_onto_their_ellipses(bundled: Synthesizer, samples: Path) -> None:
    plain = Synthesizer(bundled.pipeline, bundled.card, bundled.hash, bundled.finish)
    judge = load_segmenter(judge_model())
    scenes = [
        Scene(Ellipse(*values), (800, 540), "first", read_image(samples / "086_HC.png"))
        for values in ((400, 270, 130, 100, 10), (430, 250, 110, 90, 150), (360, 290, 150, 120, 80))
    ]

    def found(synthesizer: Synthesizer) -> float:
        images = synthesizer.generate(scenes, [0, 1, 2])
        pairs = zip(images, scenes, strict=True)
        return float(np.mean([pair_quality(judge, i, s.ellipse)["dice"] for i, s in pairs]))

    assert found(bundled) > found(plain) + 0.003
    how = bundled.provenance(seed=0, steps=None, guidance=None, style="first")
    assert how["aligned"] is True
    assert plain.provenance(seed=0, steps=8, guidance=1, style="any")["aligned"] is False


def test_other_frame_sizes_work(bundled: Synthesizer) -> None:
    scene = Scene(Ellipse(120, 150, 90, 70, 90), (250, 301))
    assert bundled.generate([scene], [3], steps=2)[0].shape == (301, 250)


def test_it_is_as_sharp_as_the_frame_that_lends_its_sector(bundled: Synthesizer) -> None:
    frame = read_image(samples_dir() / "209_HC.png")
    soft = np.asarray(cv2.GaussianBlur(frame, (0, 0), 2), np.uint8)
    scenes = [replace(SCENE, reference=reference) for reference in (frame, soft)]
    tissue = tissue_mask(frame)
    power = tissue_power([frame, soft, *bundled.generate(scenes, [3, 3], steps=4)], tissue, 10)
    assert power is not None
    real, softened, made, made_soft = np.log10(power + 1)[:, 2:]
    assert np.abs(real - softened).mean() > 0.6
    assert np.abs(made - real).mean() < 0.2 and np.abs(made_soft - softened).mean() < 0.2


def test_it_is_as_bright_as_the_frame_that_lends_its_sector(bundled: Synthesizer) -> None:
    frame = read_image(samples_dir() / "209_HC.png")
    dim = (frame * 0.4).astype(np.uint8)
    scenes = [replace(SCENE, reference=lender) for lender in (frame, dim)]
    inside = sector_mask(frame) > 0
    for steps in (2, 4):  # a draft, too
        for image, lender in zip(
            bundled.generate(scenes, [3, 3], steps=steps), (frame, dim), strict=True
        ):
            made, wanted = (np.percentile(x[inside], (25, 50, 75, 95)) for x in (image, lender))
            np.testing.assert_allclose(made, wanted, atol=12)
    plain = bundled.generate([replace(scenes[1], grain=False)], [3], steps=4)[0]
    assert np.percentile(plain[inside], 95) > np.percentile(dim[inside], 95) + 30


def test_outside_the_references_sector_it_is_black(bundled: Synthesizer) -> None:
    reference = np.zeros((540, 800), np.uint8)
    reference[40:500, 150:650] = 90
    scene = Scene(SCENE.ellipse, SCENE.size, "second", reference)
    image = bundled.generate([scene], [3], steps=3)[0]
    assert not image[:, :120].any() and not image[:, 690:].any()
    assert image[100:450, 200:600].mean() > 5


def test_the_tissue_around_the_heads_can_stay(bundled: Synthesizer) -> None:
    reference = np.random.default_rng(0).integers(30, 60, (540, 800), dtype=np.uint8)
    old, new = Ellipse(250, 300, 100, 80, 0), Ellipse(560, 220, 110, 90, 30)
    image = bundled.generate([Scene(new, (800, 540), "second", reference, old)], [3])[0]
    far = np.minimum(old.sdf((800, 540)), new.sdf((800, 540))) > 60
    np.testing.assert_array_equal(image[far], reference[far])
    for head in (old, new):
        inside = head.sdf((800, 540)) < -10
        assert np.abs(image[inside].astype(int) - reference[inside]).mean() > 10


def test_a_nudged_ellipse_morphs_the_picture_and_does_not_replace_it(
    bundled: Synthesizer,
) -> None:
    e = SCENE.ellipse
    nudged = replace(SCENE, ellipse=Ellipse(e.cx + 3, e.cy + 2, e.a, e.b, e.angle_deg))
    base, moved = (bundled.generate([scene], [5], steps=2)[0] for scene in (SCENE, nudged))
    other = bundled.generate([SCENE], [6], steps=2)[0]
    change = [np.abs(base.astype(int) - p).mean() for p in (moved, other)]
    assert 0 < change[0] < 0.4 * change[1]


def test_equal_requests_give_equal_pixels(bundled: Synthesizer) -> None:
    one, two = (bundled.generate([SCENE], [5], steps=3)[0] for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_a_draft_is_not_finished_because_that_takes_time(bundled: Synthesizer) -> None:
    plain = Synthesizer(bundled.pipeline, bundled.card, hash_=bundled.hash)
    for steps, finished in ((2, False), (3, True)):
        images = [model.generate([SCENE], [5], steps=steps)[0] for model in (bundled, plain)]
        assert np.any(images[0] != images[1]) == finished


def test_previews_are_rendered_on_request(bundled: Synthesizer) -> None:
    previews = []
    bundled.generate(
        [SCENE], [5], steps=3, on_step=lambda done, total, draw: previews.append((done, draw()))
    )
    assert [done for done, _ in previews] == [1, 2, 3]
    assert all(p.shape == (540, 800) for _, p in previews)


def test_a_frame_too_dark_to_show_its_sector_leaves_that_to_the_model(
    bundled: Synthesizer,
) -> None:
    dark = replace(SCENE, reference=np.zeros((540, 800), np.uint8))
    made, free = bundled.generate([dark, replace(SCENE, reference=None)], [5, 5], steps=1)
    assert made.mean() > 10
    np.testing.assert_array_equal(made, free)


@pytest.mark.parametrize(
    ("scene", "options", "message"),
    [
        (SCENE, {"steps": 0}, "steps"),
        (SCENE, {"guidance": 99.0}, "guidance"),
        (Scene(SCENE.ellipse, SCENE.size, "fourth"), {}, "style"),
        (Scene(Ellipse(2000, 270, 240, 180, 10), (800, 540)), {}, "off the 800x540"),
    ],
)
def test_impossible_requests_are_refused(
    bundled: Synthesizer, scene: Scene, options: dict, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        bundled.generate([scene], [0], **options)


def test_a_saved_synthesizer_draws_the_same(bundled: Synthesizer, tmp_path: Path) -> None:
    bundled.save(tmp_path)
    loaded = Synthesizer.load(tmp_path)
    assert loaded.hash == bundled.hash
    before = bundled.generate([SCENE], [5], steps=2)[0]
    np.testing.assert_array_equal(loaded.generate([SCENE], [5], steps=2)[0], before)


def test_a_saved_synthesizer_does_not_say_where_it_came_from(tmp_path: Path) -> None:
    found = find_model("synthesizer", "compact")
    Synthesizer.load(found.folder).save(tmp_path)
    texts = [path.read_text() for path in tmp_path.rglob("*.json")]
    assert len(texts) >= 4 and not any(str(found.folder.parent) in text for text in texts)


def test_damaged_folders_are_named(bundled: Synthesizer, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no model"):
        Synthesizer.load(tmp_path)
    bundled.save(tmp_path)
    weights = next((tmp_path / "unet").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match="not a complete synthesizer"):
        Synthesizer.load(tmp_path)
