import cv2
import numpy as np
import pytest

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.texture import CohortTexture, Texture, texture_of

HEAD = Ellipse(200, 150, 120, 95, 20)


def speckled(seed: int, blur: float = 1.5, size: tuple[int, int] = (400, 300)) -> np.ndarray:
    """An amplitude of complex normal scatterers, smoothed before its modulus is taken."""
    rng = np.random.default_rng(seed)
    parts = [cv2.GaussianBlur(rng.normal(size=size[::-1]), (0, 0), blur) for _ in range(2)]
    amplitude = np.hypot(*parts)
    return (amplitude / amplitude.mean() * 60).clip(0, 255).astype(np.uint8)


def cohort(n: int = 12) -> CohortTexture:
    found = CohortTexture.of([texture_of(speckled(i), HEAD) for i in range(n)])
    assert found is not None
    return found


def test_fully_developed_speckle_has_rayleighs_ratio() -> None:
    image = speckled(0, blur=0.8, size=(900, 900))
    found = texture_of(image, Ellipse(450, 450, 400, 390, 0))
    assert found.speckle_snr == pytest.approx(1.91, abs=0.1)


def test_frames_of_the_cohort_are_within_its_limits_and_a_blurred_one_is_not() -> None:
    real = cohort()
    alike = real.differences(texture_of(speckled(99), HEAD))
    assert all(abs(alike[key]) < 2.5 * limit for key, limit in real.limits.items())
    blurred = real.differences(
        texture_of(np.asarray(cv2.GaussianBlur(speckled(99), (0, 0), 3), np.uint8), HEAD)
    )
    assert blurred["spectrum_db"] > 3 * real.limits["spectrum_db"]
    assert blurred["speckle_difference"] > 3 * real.limits["speckle_difference"] > 0


def test_the_grey_difference_is_in_grey_levels() -> None:
    real = cohort()
    brighter = real.differences(texture_of(speckled(1) // 2 + 100, HEAD))["grey_difference"]
    same = real.differences(texture_of(speckled(1), HEAD))["grey_difference"]
    shift = float((speckled(1) // 2 + 100).mean() - speckled(1).mean())
    assert same < 8
    assert brighter == pytest.approx(shift, abs=8)


def test_few_frames_give_a_mean_but_no_limits() -> None:
    assert cohort(9).limits == {} and cohort(9).frames == 9
    assert set(cohort(10).limits) == {"speckle_difference", "spectrum_db", "grey_difference"}
    assert CohortTexture.of([]) is None


@pytest.mark.parametrize(
    "ellipse", [Ellipse(-80, 40, 90, 70, 0), Ellipse(60, 40, 8, 6, 45), Ellipse(900, 40, 20, 9, 0)]
)
def test_heads_cut_by_the_border_tiny_or_off_the_frame_have_finite_figures(
    ellipse: Ellipse,
) -> None:
    found = texture_of(speckled(0)[:80, :120], ellipse)
    assert isinstance(found, Texture)
    assert np.isfinite([found.speckle_snr, *found.spectrum, *found.greys]).all()


def test_a_cohort_too_dark_for_speckle_still_tells_the_other_figures() -> None:
    dark = CohortTexture.of([texture_of(np.full((300, 400), 2, np.uint8), HEAD)] * 12)
    assert dark is not None and dark.speckle_snr == 0
    figures = dark.differences(texture_of(speckled(0), HEAD))
    assert set(figures) == set(dark.limits) == {"spectrum_db", "grey_difference"}
    assert np.isfinite(list(figures.values())).all() and figures["grey_difference"] > 30
