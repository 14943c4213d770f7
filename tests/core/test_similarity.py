"""Copies are told from other heads, whatever was done to them."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.similarity import Neighbours, neighbours_of, real_share
from fetalstudio.formats.neighbours import FILE, read_neighbours, write_neighbours
from fetalstudio.formats.pictures.picture_files import read_image
from fetalstudio.resources import models_dir, samples_dir

SYNTHESIZER = models_dir() / "synthesizer-compact"


def frame(name: str) -> tuple[np.ndarray, Ellipse]:
    ring = read_image(samples_dir() / f"{name}_Annotation.png")
    return read_image(samples_dir() / f"{name}.png"), Ellipse.from_ring(ring)


def mirrored(image: np.ndarray, e: Ellipse) -> tuple[np.ndarray, Ellipse]:
    width = image.shape[1]
    flipped = np.ascontiguousarray(image[:, ::-1])
    return flipped, Ellipse.of(width - 1 - e.cx, e.cy, e.a, e.b, -e.angle_deg)


def disguised(image: np.ndarray, e: Ellipse) -> tuple[np.ndarray, Ellipse]:
    """Turned by 5 degrees, darker, blurred, speckled, the ellipse a little off."""
    h, w = image.shape
    turn = cv2.getRotationMatrix2D((e.cx, e.cy), -5, 1)
    grain = 1 + 0.2 * np.random.default_rng(0).normal(size=(h, w))
    changed = cv2.GaussianBlur(cv2.warpAffine(image, turn, (w, h)) * grain * 0.7, (0, 0), 1.5)
    ellipse = Ellipse.of(e.cx + 3, e.cy - 2, e.a * 1.02, e.b * 0.99, e.angle_deg + 6)
    return changed.clip(0, 255).astype(np.uint8), ellipse


def test_what_a_picture_shares_with_its_lender_is_measured_on_the_whole_frame() -> None:
    lender, _ = frame("346_HC")
    other, _ = frame("299_HC")
    assert real_share(lender, lender) == 1
    nothing = real_share(other, lender)
    assert nothing is not None and nothing < 0.02
    # Only a strip at the border is kept, and darker.
    kept = np.where(np.arange(lender.shape[1]) < 150, lender * 0.6, other).astype(np.uint8)
    share = real_share(kept, lender)
    assert share is not None and 0.05 < share < 0.4


def test_nothing_is_said_where_nothing_can_be_compared() -> None:
    lender, _ = frame("346_HC")
    assert real_share(lender[:-1], lender) is None
    assert real_share(np.zeros_like(lender), np.zeros_like(lender)) is None


@pytest.fixture(scope="module")
def built_in() -> Neighbours:
    found = read_neighbours(SYNTHESIZER)
    assert found is not None
    return found


def test_the_built_in_synthesizer_knows_all_its_training_frames(built_in: Neighbours) -> None:
    listed = set((SYNTHESIZER / "training_frames.txt").read_text().split())
    assert set(built_in.ids) == listed and len(listed) == 598
    assert 0.6 < built_in.threshold < 0.85
    assert (SYNTHESIZER / FILE).stat().st_size < 300_000


def annotated() -> list[str]:
    found = samples_dir().glob("*_Annotation.png")
    return sorted(path.stem.removesuffix("_Annotation") for path in found)


def test_a_disguised_copy_is_above_the_threshold_and_another_head_below(tmp_path: Path) -> None:
    base = read_neighbours(SYNTHESIZER)
    assert base is not None
    names = annotated()
    own = [LabelledFrame.of(*frame(n), id=n.ljust(20, "x"), subject=n[:3]) for n in names[:4]]
    # Only the four: as if the built-in model had never seen another frame.
    none = Neighbours((), base.descriptors[:0], base.mean, base.scale, base.threshold)
    known = neighbours_of(own, none)
    write_neighbours(known, tmp_path)
    assert known.ids == tuple(name.ljust(16, "x") for name in names[:4])
    for name in names[:4]:
        picture = frame(name)
        same = known.nearest(*picture)
        assert same.similarity > 0.99 and same.frame_id == name.ljust(16, "x")
        for copy in (mirrored(*picture), disguised(*picture), disguised(*mirrored(*picture))):
            found = known.nearest(*copy)
            assert found.similarity > known.threshold and found.frame_id == same.frame_id
    for name in names[4:]:
        assert known.nearest(*frame(name)).similarity < known.threshold
    turned = frame(names[0])[0][::-1, ::-1]
    e = frame(names[0])[1]
    around = Ellipse.of(
        turned.shape[1] - 1 - e.cx, turned.shape[0] - 1 - e.cy, e.a, e.b, e.angle_deg
    )
    assert known.nearest(np.ascontiguousarray(turned), around).similarity > 0.95


def test_what_is_written_is_read_again(built_in: Neighbours, tmp_path: Path) -> None:
    write_neighbours(built_in, tmp_path)
    again = read_neighbours(tmp_path)
    assert again is not None and again.ids == built_in.ids
    assert again.threshold == pytest.approx(built_in.threshold)
    np.testing.assert_allclose(again.descriptors, built_in.descriptors, atol=1e-3)
    assert read_neighbours(tmp_path / "nowhere") is None


def test_frames_of_the_base_stay_known(built_in: Neighbours, tmp_path: Path) -> None:
    name = annotated()[0]
    own = [LabelledFrame.of(*frame(name), id="f" * 64, subject="s")]
    found = neighbours_of(own, built_in)
    write_neighbours(found, tmp_path)
    assert len(found.ids) == 599 and found.threshold == built_in.threshold
    read = read_neighbours(tmp_path)
    assert read is not None and read.nearest(*frame(name)).similarity > 0.99


def _noise(i: int) -> LabelledFrame:
    rng = np.random.default_rng(i)
    coarse = rng.integers(20, 255, (12, 16), dtype=np.uint8)
    image = cv2.resize(coarse, (160, 120), interpolation=cv2.INTER_CUBIC)
    head = Ellipse(80, 60, 50, 40, 10)
    return LabelledFrame.of(
        np.asarray(image, np.uint8), head, id=f"{i:016d}{0:048d}", subject=f"s{i}"
    )


def test_the_threshold_is_the_99th_percentile_between_subjects(tmp_path: Path) -> None:
    frames = [_noise(i) for i in range(60)]
    found = neighbours_of(frames)
    write_neighbours(found, tmp_path / "a")
    nearest = []
    for item in frames:
        others = np.array([name != item.id[:16] for name in found.ids])
        rest = Neighbours(
            tuple(np.array(found.ids)[others].tolist()),
            found.descriptors[others],
            found.mean,
            found.scale,
            found.threshold,
        )
        nearest.append(rest.nearest(item.image, item.ellipse).similarity)
    assert found.threshold == pytest.approx(np.percentile(nearest, 99), abs=1e-3)
    # A second picture of the same subject says nothing of what different subjects have in common.
    twin = replace(frames[0], id="e" * 64)
    with_twin = neighbours_of([*frames, twin])
    write_neighbours(with_twin, tmp_path / "b")
    assert with_twin.threshold < 0.9


def test_too_few_subjects_give_no_threshold(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="50 are needed"):
        neighbours_of([_noise(i) for i in range(49)])
    assert not (tmp_path / FILE).exists()


def test_a_damaged_file_is_named(tmp_path: Path, built_in: Neighbours) -> None:
    (tmp_path / FILE).write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(InputError, match=FILE):
        read_neighbours(tmp_path)
    write_neighbours(built_in, tmp_path)
    data = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match="damaged"):
        read_neighbours(tmp_path)
