"""How a synthesizer is measured: the hard cases are hard, and the figures are those of pictures."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.engine.cohort_split import labelled_frames
from fetalstudio.engine.models.loading import (
    find_model,
    judge_model,
    load_segmenter,
    load_synthesizer,
)
from fetalstudio.formats.neighbours import read_neighbours
from fetalstudio.project.project import Project
from fetalstudio.studies.fidelity import HEADS, Sampling, contact_sheet, fidelity, main
from fetalstudio.synthesis.scene import Scene
from fetalstudio.synthesis.synthesizer import Synthesizer

SIZE = (800, 540)
HEAD = Ellipse(420, 260, 200, 155, 20)


def built_in() -> Synthesizer:
    model = load_synthesizer(find_model("synthesizer", "compact"))
    assert isinstance(model, Synthesizer)
    return model


def test_the_hard_heads_are_what_their_names_say() -> None:
    made = {name: HEAD.transformed(move(HEAD, SIZE)) for name, move in HEADS.items()}
    assert made["drawn"].overlap(HEAD) > 0.999
    assert made["small"].area == pytest.approx(HEAD.area / 4)
    assert abs(made["rotated"].angle_deg - HEAD.angle_deg) == pytest.approx(90)
    assert made["elongated"].b / made["elongated"].a == pytest.approx(0.62)
    x, y = made["cut"].contour(360).T
    off = (x < 0) | (x > SIZE[0] - 1) | (y < 0) | (y > SIZE[1] - 1)
    assert 0.15 < off.mean() < 0.45
    left = HEADS["cut"](Ellipse(300, 260, 200, 155, 20), SIZE)
    assert left.apply(np.array([300.0, 260.0]))[0] < 300 and made["cut"].cx > HEAD.cx


def test_each_picture_is_judged_against_its_own_ellipse(sample_project: Project) -> None:
    model = find_model("synthesizer", "compact")
    items = labelled_frames(sample_project)[:2]
    figures = fidelity(
        built_in(),
        items,
        sampling=Sampling(steps=4),
        neighbours=read_neighbours(model.folder),
    )
    assert figures["n"] == 2 and figures["steps"] == 4
    assert figures["dice_min"] > 0.85
    assert len(figures["spectrum_decades"]) == 10 and figures["spectrum_frames"] == 2
    assert max(map(abs, figures["spectrum_decades"])) < 0.5
    assert figures["spectrum_off_by"] < 0.2
    assert figures["spectrum_off_by"] >= np.abs(figures["spectrum_decades"]).mean() - 1e-3
    assert sum(figures["dice_by_trimester"].values()) > 0
    # The samples are of subjects that the bundled model never saw.
    assert (
        0 < figures["similarity_median"] <= figures["similarity_max"] < 1 and figures["copies"] == 0
    )
    # Nothing is moved, so these are the real frames as they are.
    judge = load_segmenter(judge_model())
    found = [judge.predict(i.image).ellipse for i in items]
    pairs = zip(found, items, strict=True)
    real = [e.overlap(i.ellipse) for e, i in pairs if e is not None]
    assert figures["real_dice_mean"] == pytest.approx(np.mean(real), abs=0.003)
    kept = fidelity(
        built_in(),
        items,
        heads="small",
        sampling=Sampling(steps=1, background="frame"),
    )
    assert kept["background"] == "frame" and np.isfinite(kept["dice_mean"])
    assert "copies" not in kept


def test_a_cut_head_keeps_its_place_in_the_sector(sample_project: Project) -> None:
    item = next(i for i in labelled_frames(sample_project) if i.name == "209_HC")
    asked: list[Scene] = []

    class Asked(Synthesizer):
        def generate(self, scenes: Sequence[Scene], *_: object, **__: object) -> list[Any]:
            asked.extend(scenes)
            return [scene.reference for scene in scenes]

    model = built_in()
    echo = Asked(model.pipeline, model.card, model.hash, model.finish)
    figures = {heads: fidelity(echo, [item], heads=heads) for heads in HEADS}
    lent = {
        heads: np.array_equal(np.asarray(scene.reference), item.image)
        for heads, scene in zip(HEADS, asked, strict=True)
    }
    # What echoes the frame that it is lent shows the head where it is, moved with the frame.
    assert lent == {heads: heads != "cut" for heads in HEADS}
    assert figures["cut"]["dice_mean"] == figures["cut"]["real_dice_mean"] > 0.6
    assert figures["small"]["dice_mean"] < 0.6 < figures["small"]["real_dice_mean"]


def test_the_command_measures_one_kind_of_heads_after_another(
    sample_project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def figures(*_: object, heads: str, **__: object) -> dict[str, str]:
        asked.append(heads)
        return {"heads": heads}

    monkeypatch.setattr("fetalstudio.studies.fidelity.fidelity", figures)
    model = find_model("synthesizer", "compact").folder
    main([str(sample_project.path), str(model), "--heads", "small", "cut"])
    assert asked == ["small", "cut"]
    assert capsys.readouterr().out.count('"heads": "') == 2


def test_a_contact_sheet_shows_real_made_and_kept(sample_project: Project) -> None:
    items = [i for i in labelled_frames(sample_project) if i.name == "209_HC"]
    sheet = contact_sheet(built_in(), items)
    assert sheet.shape == (324, 3 * 480, 3)
    real, made, kept = (sheet[:, i * 480 : (i + 1) * 480, 0].astype(float) for i in range(3))
    beside = np.s_[130:200, 25:60]  # the head, inside the sector
    assert np.abs(real - kept)[beside].mean() < 3 < np.abs(real - made)[beside].mean()
