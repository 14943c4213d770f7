import numpy as np
import pytest

from fetalstudio.simulation.acoustics import compress, envelope, path_loss, smooth_noise

SHAPE = (400, 300)


def _uniform(*, looks: int = 1, lateral: float = 2.0, level: float = 1.0) -> np.ndarray:
    return envelope(
        np.random.default_rng(0),
        np.full(SHAPE, level, np.float32),
        np.zeros(SHAPE, np.float32),
        axial=1.5,
        lateral=np.full(SHAPE[0], lateral, np.float32),
        looks=looks,
    )


def _snr(region: np.ndarray) -> float:
    return float(region.mean() / region.std())


def test_fully_developed_speckle_is_rayleigh() -> None:
    received = _uniform()
    assert _snr(received) == pytest.approx(1.91, abs=0.08)
    assert np.sqrt(np.mean(received**2)) == pytest.approx(1, abs=0.05)


def test_echoes_scale_with_the_scatterers_and_compounding_smooths() -> None:
    assert _uniform(level=0.1).mean() == pytest.approx(0.1 * _uniform().mean(), rel=1e-4)
    assert _snr(_uniform(looks=4)) == pytest.approx(2 * 1.91, abs=0.25)


def _correlation_width(field: np.ndarray) -> float:
    """Columns until neighbouring beams have half their likeness."""
    f = field - field.mean()
    alike = [float((f[:, : -k or None] * f[:, k:]).mean()) for k in range(30)]
    return float(np.argmax(np.array(alike) < 0.5 * alike[0]))


def test_the_beam_widens_with_depth() -> None:
    lateral = np.linspace(1, 8, SHAPE[0], dtype=np.float32)
    received = envelope(
        np.random.default_rng(1),
        np.ones(SHAPE, np.float32),
        np.zeros(SHAPE, np.float32),
        axial=1.0,
        lateral=lateral,
    )
    assert _correlation_width(received[:80]) * 2 < _correlation_width(received[-80:])
    # The blur of every depth keeps the power of speckle.
    rms = np.sqrt((received**2).reshape(8, 50, -1).mean((1, 2)))
    assert rms == pytest.approx(1, abs=0.15)


def test_a_wide_wall_keeps_its_height_and_shows_no_speckle() -> None:
    wall = np.zeros(SHAPE, np.float32)
    wall[100:200] = 0.5
    received = envelope(
        np.random.default_rng(0), 0 * wall, wall, axial=1.5, lateral=np.full(SHAPE[0], 2.0)
    )
    assert received[120:180] == pytest.approx(0.5, abs=1e-3)
    assert received[:80].max() < 1e-3


def test_loss_counts_both_ways() -> None:
    lost = path_loss(np.full((100, 3), 1.5, np.float32), 0.1)
    assert lost[-1] == pytest.approx(2 * 1.5 * 10, rel=1e-4)
    assert (np.diff(lost, axis=0) > 0).all()


def test_compression_has_its_range() -> None:
    levels = np.array([[1.0, 10 ** (-30 / 20), 10 ** (-60 / 20), 0.0, 5.0]], np.float32)
    assert compress(levels, range_db=60, curve=1)[0] == pytest.approx(
        [255, 127.5, 0, 0, 255], abs=0.1
    )
    assert compress(levels, range_db=60, curve=2)[0, 1] == pytest.approx(63.75, abs=0.1)


def test_smooth_noise_is_smooth_and_normalised() -> None:
    noise = smooth_noise(np.random.default_rng(0), (100, 120), (4, 4))
    assert noise.mean() == pytest.approx(0, abs=1e-4) and noise.std() == pytest.approx(1, abs=1e-3)
    assert np.ptp(noise) > 2
    assert np.abs(np.diff(noise, axis=1)).max() < 0.4
