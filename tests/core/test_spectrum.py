import numpy as np
import pytest

from fetalstudio.core.spectrum import radial_power, tissue_power


@pytest.mark.parametrize("shape", [(64, 64), (96, 128)])
@pytest.mark.parametrize("across", [True, False])
def test_a_wave_is_in_the_ring_of_its_frequency(shape: tuple[int, int], across: bool) -> None:
    y, x = np.mgrid[: shape[0], : shape[1]]
    taper = np.outer(*map(np.hanning, shape))
    power = radial_power(np.sin(2 * np.pi * 0.2 * (x if across else y)) * taper, 10)
    assert power.argmax() in (3, 4)  # 0.2 is where the two meet
    assert power[[0, 1, 6, 7, 8, 9]].max() < 1e-4 * power.max()


def test_white_noise_is_as_strong_in_all_rings() -> None:
    noise = np.random.default_rng(0).normal(0, 3, (256, 256))
    power = radial_power(noise, 8) / noise.size
    np.testing.assert_allclose(power[1:], 9, rtol=0.05)


def test_only_windows_inside_the_tissue_count() -> None:
    noise = np.random.default_rng(0).normal(0, 3, (256, 256))
    tissue = np.zeros((256, 256), np.uint8)
    tissue[:128, :192] = 1
    elsewhere = np.where(tissue > 0, noise, 1000 * noise)
    power = tissue_power([noise, elsewhere, 2 * noise], tissue, 8)
    assert power is not None
    np.testing.assert_allclose(power[0][1:], 9, rtol=0.3)
    np.testing.assert_array_equal(power[0], power[1])
    np.testing.assert_allclose(power[2], 4 * power[0])
    tissue[64:] = 0
    assert tissue_power([noise], tissue, 8) is None


def test_a_picture_too_small_for_its_rings_has_none_there() -> None:
    assert np.isfinite(radial_power(np.ones((4, 4)), 32)).all()
