"""Realism is measured: equal sets of frames are never told apart, others are."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.engine.cohort_split import labelled_frames
from fetalstudio.engine.models.loading import find_model, load_compact, load_segmenter
from fetalstudio.formats.pictures.picture_files import read_image
from fetalstudio.project.project import Project
from fetalstudio.studies.realism.__main__ import main
from fetalstudio.studies.realism.measures import (
    classifier_tests,
    copies,
    features,
    kernel_distance,
    texture,
)
from fetalstudio.studies.realism.pictures import Pictures, cache_name
from fetalstudio.studies.realism.two_samples import (
    Shown,
    TestSettings,
    auroc,
    folds_of,
    told_apart,
    two_sample_scores,
)
from fetalstudio.synthesis.synthesizer import Synthesizer

HEAD = Ellipse(100, 80, 60, 45, 10)
SHORT = TestSettings(steps=20, batch=6)


def noisy(count: int, *, blur: float, seed: int) -> list[Shown]:
    """Frames of noise with equal spread; only their texture differs."""
    rng = np.random.default_rng(seed)
    frames = []
    for i in range(count):
        x = cv2.GaussianBlur(rng.standard_normal((160, 200)), (0, 0), blur)
        image = np.clip(100 + 40 * (x - x.mean()) / x.std(), 0, 255).astype(np.uint8)
        frames.append(Shown(image, HEAD, f"s{i}", "first" if i % 2 else "second"))
    return frames


def test_the_area_under_the_curve_is_that_of_counting_pairs() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 6, 20).astype(float), rng.integers(1, 8, 30).astype(float)
    pairs = [(b > a) + 0.5 * (b == a) for a in one for b in other]
    assert auroc(one, other) == pytest.approx(np.mean(pairs))
    assert np.isnan(auroc(one, np.zeros(0)))


def test_no_subject_is_in_two_folds_and_folds_are_equal() -> None:
    folds = folds_of([f"s{i // 2}" for i in range(60)], 3)
    assert np.bincount([*folds.values()]).tolist() == [10, 10, 10]


@pytest.mark.parametrize("kind", ["patch", "head"])
def test_other_textures_are_told_apart_and_equal_ones_are_not(kind: str) -> None:
    one = noisy(6, blur=1.0, seed=0)
    for other, low, high in (
        (noisy(6, blur=2.5, seed=1), 0.85, 1.0),
        (noisy(6, blur=1.0, seed=2), 0.1, 0.84),
    ):
        scores = two_sample_scores(one, other, kind, SHORT)  # type: ignore[arg-type]
        whole = told_apart(scores, one, other, whole=True)
        assert low <= whole.mean <= high and whole.low <= whole.mean <= whole.high
        assert whole.n == 12
    group = told_apart(scores, one, other, groups=["first"])
    assert group.n == 6


def test_the_kernel_distance_is_zero_for_one_distribution_only() -> None:
    rng = np.random.default_rng(0)
    one, same = rng.standard_normal((2, 200, 16))
    assert abs(kernel_distance(one, same)) < 0.1 < kernel_distance(one, same + 0.6)
    assert kernel_distance(one, one, paired=True) == pytest.approx(0, abs=1e-9)


def test_figures_of_pictures(sample_project: Project) -> None:
    items = [item.loaded() for item in labelled_frames(sample_project)[:5]]
    segmenter = load_segmenter(find_model("segmenter", "compact"))
    same = Pictures(items, [item.image for item in items])
    soft = Pictures(items, [cv2.GaussianBlur(i.image, (0, 0), 2).astype(np.uint8) for i in items])
    assert texture(same)["directional_off_by"]["mean"] == 0
    found = texture(soft)
    assert found["radial_off_by"]["mean"] > 0.3
    assert max(*found["along"][2:], *found["across"][2:]) < 0
    depths = found["by_depth"]
    assert depths["made"]["middle"]["axial"] > depths["real"]["middle"]["axial"]
    assert depths["real"]["middle"]["lateral"] > 1.3 * depths["real"]["middle"]["axial"]
    assert features(same, segmenter)["kid"] < features(soft, segmenter)["kid"]
    assert copies(same, None)["with_real_pixels"] == 5
    halves = classifier_tests(same, ["head"], TestSettings(steps=2, batch=4), real=True)
    assert 0 <= halves["head"]["mean"] <= 1


def test_the_command_keeps_pictures_and_goes_on(
    sample_project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, cache = find_model("synthesizer", "compact").folder, tmp_path / "cache"
    monkeypatch.setattr(
        "fetalstudio.studies.realism.__main__.labelled_frames", lambda p: labelled_frames(p)[:3]
    )
    command = [str(sample_project.path), str(model), "--cache", str(cache), "--part", "all"]
    command += ["--tests", "--out", str(tmp_path / "out.json")]
    main(command)
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["n"] == 3 and found["copies"]["copies"] == 0 and found["features"]["kid"]
    pictures = sorted(cache.rglob("*.png"))
    assert len(pictures) == 3
    monkeypatch.setattr("fetalstudio.synthesis.synthesizer.Synthesizer.generate", None)
    main(command)
    assert json.loads((tmp_path / "out.json").read_text()) == found
    main([*command, "--sheets", str(tmp_path / "sheets")])
    sheets = [read_image(path) for path in (tmp_path / "sheets").glob("*.jpg")]
    assert sum(len(image) for image in sheets) == 3 * 324


def test_what_is_drawn_otherwise_has_another_cache() -> None:
    folder = find_model("synthesizer", "compact").folder
    aligned, plain = load_compact(folder), Synthesizer.load(folder)
    assert cache_name(aligned) == f"{cache_name(plain)}-aligned"
