import math

import numpy as np
import pytest

from fetalstudio.core.probe import Probe
from fetalstudio.simulation.grid import Grid

SIZE = (400, 270)
PROBE = Probe(200, -80, 90, 340, 0.5)


def test_a_sector_is_bounded_by_two_arcs_and_two_beams() -> None:
    sector = PROBE.sector(SIZE)
    assert set(np.unique(sector)) == {0, 1}
    middle = np.nonzero(sector[:, 200])[0]
    assert (middle[0], middle[-1]) == (10, 260)
    for y in (100, 200):
        reach = math.tan(0.5) * (y + 80)
        lit = np.nonzero(sector[y])[0]
        assert lit[0] == pytest.approx(max(200 - reach, 0), abs=1)
        assert lit[-1] == pytest.approx(min(200 + reach, 399), abs=1)


def test_cells_and_places_are_inverse() -> None:
    grid = Grid(PROBE, SIZE, 0.5)
    column, row = grid.cells()
    x, y = grid.places
    for i, j in ((20, 30), (100, 60), (150, 90)):
        px, py = round(float(x[i, j])), round(float(y[i, j]))
        assert (column[py, px], row[py, px]) == pytest.approx((j, i), abs=0.8)


def test_the_grid_covers_the_lit_picture_and_no_more() -> None:
    grid = Grid(Probe(200, -900, 500, 2000, 0.5), SIZE, 0.5)
    low, high, first, last = grid.bounds
    assert low == pytest.approx(900, abs=2) and high == pytest.approx(math.hypot(200, 1169), abs=2)
    assert -first == pytest.approx(last, abs=0.01) and last < 0.25


def test_a_probe_is_read_off_its_sector() -> None:
    probe = Probe(205, -150, 170, 400, 0.42)
    sector = probe.sector(SIZE)
    sector[200:, 300:] = 0  # a blanked corner
    found = Probe.of_sector(sector)
    assert (found.apex_x, found.apex_y) == pytest.approx((205, -150), abs=12)
    assert (found.sector(SIZE) >= sector).all()


@pytest.mark.parametrize("fill", ["all", "bar", "dot"])
def test_any_region_gets_a_probe_that_covers_it(fill: str) -> None:
    sector = np.zeros((270, 400), np.uint8)
    sector[{"all": np.s_[:, :], "bar": np.s_[:, 150:250], "dot": np.s_[100:104, 30:34]}[fill]] = 1
    assert (Probe.of_sector(sector).sector(SIZE) >= sector).all()


def test_impossible_probes_are_refused() -> None:
    for values in ((0, 0, 100, 50, 0.5), (0, 0, 10, 50, 2.0), (0, 0, -1, 50, 0.5)):
        with pytest.raises(ValueError, match="a probe needs"):
            Probe(*values)
