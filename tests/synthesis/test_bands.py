import torch

from fetalstudio.synthesis.bands import from_bands, to_bands


def test_bands_lose_nothing() -> None:
    image = torch.rand(2, 1, 32, 48) * 2 - 1
    bands = to_bands(image)
    assert bands.shape == (2, 16, 8, 12)
    torch.testing.assert_close(from_bands(bands), image)


def test_the_transform_is_orthonormal() -> None:
    image = torch.randn(1, 1, 32, 48)
    torch.testing.assert_close(to_bands(image).square().sum(), image.square().sum())


def test_band_zero_is_four_times_the_mean_of_each_block() -> None:
    image = torch.randn(1, 1, 8, 8)
    means = torch.nn.functional.avg_pool2d(image, 4)
    torch.testing.assert_close(to_bands(image)[:, :1], 4 * means)


def test_a_vertical_edge_and_a_horizontal_one_lie_in_different_bands() -> None:
    image = torch.zeros(1, 1, 4, 4)
    image[..., 2:] = 1
    across = to_bands(image).flatten().abs() > 1e-6
    down = to_bands(image.transpose(-1, -2)).flatten().abs() > 1e-6
    assert across.sum() == down.sum() == 2
    assert not torch.equal(across, down)
