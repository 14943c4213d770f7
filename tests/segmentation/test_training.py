"""Pretraining and fine-tuning on a tiny model: what they must keep, whatever they learn."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.metrics import dice, iou
from fetalstudio.core.training_settings import TrainingSettings
from fetalstudio.learning import TrainingRun
from fetalstudio.segmentation import fine_tuning
from fetalstudio.segmentation.compact import CompactConfig, CompactEncoder, build_compact
from fetalstudio.segmentation.embeddings import EmbeddingCache, encoder_key
from fetalstudio.segmentation.epochs import EpochFigures, Epochs, Found
from fetalstudio.segmentation.examples import varied
from fetalstudio.segmentation.fine_tuning import (
    fine_tune,
)
from fetalstudio.segmentation.pretraining import PretrainSettings, pretrain
from fetalstudio.segmentation.sam import paper_boxes
from fetalstudio.segmentation.segmenter import Prediction, Segmenter, compact_card
from fetalstudio.segmentation.vit import build_vit
from tests.progress import Watched
from tests.segmentation import tiny_sam

TINY = CompactConfig(image_size=64, widths=(8, 8, 16, 24), blocks=(1, 1, 1), attention=1)


def _frame(seed: int) -> LabelledFrame:
    rng = np.random.default_rng(seed)
    head = Ellipse(
        float(rng.uniform(40, 80)), float(rng.uniform(30, 50)), 28, 20, float(rng.uniform(0, 179))
    )
    noise = rng.integers(0, 30, (80, 120))
    return LabelledFrame.of((40 + 120 * head.mask((120, 80)) + noise).astype(np.uint8), head)


EXAMPLES = [_frame(seed) for seed in range(6)]


def _state(segmenter: Segmenter) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in segmenter.sam.state_dict().items()}


@pytest.fixture
def segmenter() -> Segmenter:
    torch.manual_seed(0)
    return Segmenter(build_compact(TINY), compact_card("tiny", TINY))


def test_a_resumed_pretraining_is_the_unbroken_one(tmp_path: Path) -> None:
    settings = PretrainSettings(steps=6, batch=2)
    whole = pretrain(EXAMPLES, settings, TrainingRun(tmp_path / "whole.pt"), config=TINY)
    steps: list[int] = []
    pretrain(
        EXAMPLES,
        settings,
        TrainingRun(
            tmp_path / "broken.pt", lambda step, _loss: steps.append(step), lambda: len(steps) == 3
        ),
        config=TINY,
    )
    assert steps == [1, 2, 3]
    resumed = pretrain(EXAMPLES, settings, TrainingRun(tmp_path / "broken.pt"), config=TINY)
    for key, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[key], value, rtol=0, atol=1e-6)


def test_pretraining_learns(tmp_path: Path) -> None:
    losses: list[float] = []
    pretrain(
        EXAMPLES,
        replace(PretrainSettings(), steps=60, batch=4, learning_rate=2e-3),
        TrainingRun(tmp_path / "c.pt", lambda _step, loss: losses.append(loss)),
        config=TINY,
    )
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])


def test_fine_tuning_improves_and_touches_the_decoder_only(segmenter: Segmenter) -> None:
    before = _state(segmenter)
    settings = TrainingSettings(epochs=12, batch=4, learning_rate=2e-3, patience=12)
    tuned, figures = fine_tune(segmenter, EXAMPLES[:4], EXAMPLES[4:], settings)
    assert figures[0].epoch == 0 and figures[0].best
    best = max(figures, key=lambda f: f.validation_dice)
    assert best.validation_dice > figures[0].validation_dice + 0.1
    changed = {k.split(".")[0] for k, v in _state(tuned).items() if not torch.equal(v, before[k])}
    assert changed == {"mask_decoder", "prompt_encoder"}
    prompt = [k for k, v in _state(tuned).items() if not torch.equal(v, before[k])]
    assert [k for k in prompt if k.startswith("prompt")] == ["prompt_encoder.auto_tokens"]
    for key, value in _state(segmenter).items():
        assert torch.equal(value, before[key]), "the model that it started from was changed"


def test_the_best_epoch_is_returned_not_the_last(segmenter: Segmenter) -> None:
    states: dict[int, dict[str, torch.Tensor]] = {}

    def keep(figures: EpochFigures, model: Segmenter) -> None:
        states[figures.epoch] = _state(model)

    settings = TrainingSettings(epochs=6, batch=4, learning_rate=2e-2, patience=6)
    tuned, figures = fine_tune(segmenter, EXAMPLES[:4], EXAMPLES[4:], settings, on_epoch=keep)
    best = max(f.epoch for f in figures if f.best)
    assert max(f.validation_dice for f in figures) == figures[best].validation_dice
    for key, value in _state(tuned).items():
        assert torch.equal(value, states[best][key])


def test_patience_ends_it_early(segmenter: Segmenter) -> None:
    settings = TrainingSettings(epochs=30, batch=4, learning_rate=1e-12, patience=2)
    _, figures = fine_tune(segmenter, EXAMPLES[:2], EXAMPLES[4:], settings)
    assert figures[-1].epoch == 2


def test_cancelling_keeps_the_best_so_far(segmenter: Segmenter) -> None:
    seen: list[EpochFigures] = []
    settings = TrainingSettings(epochs=50, batch=4, learning_rate=2e-3, patience=50)
    tuned, figures = fine_tune(
        segmenter,
        EXAMPLES[:4],
        EXAMPLES[4:],
        settings,
        on_epoch=lambda f, _model: seen.append(f),
        progress=Watched(lambda: len(seen) == 4),
    )
    assert figures == seen and figures[-1].epoch == 3
    h, w = EXAMPLES[4].image.shape
    assert tuned.predict(EXAMPLES[4].image).mask.shape == (h, w)


def test_the_same_seed_gives_the_same_model(segmenter: Segmenter) -> None:
    settings = TrainingSettings(epochs=2, batch=4, learning_rate=1e-3)
    one, two = (fine_tune(segmenter, EXAMPLES[:4], EXAMPLES[4:], settings)[0] for _ in range(2))
    for key, value in _state(one).items():
        assert torch.equal(value, _state(two)[key])


def test_nothing_to_learn_from_is_refused(segmenter: Segmenter) -> None:
    with pytest.raises(ValueError, match="at least one"):
        fine_tune(segmenter, [], EXAMPLES[4:], TrainingSettings())


def test_a_fine_tuning_that_goes_on_is_the_unbroken_one(
    segmenter: Segmenter, tmp_path: Path
) -> None:
    settings = TrainingSettings(epochs=4, batch=4, learning_rate=2e-3, patience=9)
    whole, figures = fine_tune(segmenter, EXAMPLES[:4], EXAMPLES[4:], settings)
    seen: list[EpochFigures] = []
    state = tmp_path / "state.pt"
    fine_tune(
        segmenter,
        EXAMPLES[:4],
        EXAMPLES[4:],
        settings,
        state=state,
        on_epoch=lambda f, _model: seen.append(f),
        progress=Watched(lambda: len(seen) == 3),
    )
    assert [f.epoch for f in seen] == [0, 1, 2]
    resumed, again = fine_tune(
        segmenter,
        EXAMPLES[:4],
        EXAMPLES[4:],
        settings,
        state=state,
        on_epoch=lambda f, _model: seen.append(f),
    )
    assert [f.epoch for f in seen] == [0, 1, 2, 3, 4]
    assert again[1:] == figures[1:]
    for key, value in _state(whole).items():
        assert torch.equal(value, _state(resumed)[key])


def test_what_was_embedded_once_is_not_embedded_again(
    segmenter: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    forward = CompactEncoder.forward

    def counted(self: CompactEncoder, x: torch.Tensor) -> torch.Tensor:
        looks.append(len(x))
        return forward(self, x)

    monkeypatch.setattr(CompactEncoder, "forward", counted)
    cache = EmbeddingCache(tmp_path / "cache")
    settings = TrainingSettings(epochs=1, batch=4, learning_rate=2e-3, copies=2)
    tuned, first = fine_tune(segmenter, EXAMPLES[:4], EXAMPLES[4:], settings, cache=cache)
    assert len(looks) == 10
    _, second = fine_tune(segmenter, EXAMPLES[:4], EXAMPLES[4:], settings, cache=cache)
    assert len(looks) == 10 and second[1:] == first[1:]
    # Its encoder is the same, so a tuned model finds them too.
    fine_tune(tuned, EXAMPLES[:4], EXAMPLES[4:], settings, cache=cache)
    assert len(looks) == 10
    file = next(cache.folder.iterdir())
    file.write_bytes(file.read_bytes()[:50])
    fine_tune(segmenter, EXAMPLES[:4], EXAMPLES[4:], settings, cache=cache)
    assert len(looks) == 11


def test_a_cache_is_kept_below_its_limit_and_apart_by_encoder(
    segmenter: Segmenter, tmp_path: Path
) -> None:
    small = EmbeddingCache(tmp_path, limit=3 * 9000)
    key = encoder_key(segmenter)
    for example in EXAMPLES:
        small.embed(segmenter, key, example.image)
    small.trim()
    held = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert 0 < held <= small.limit
    with torch.no_grad():
        segmenter.sam.image_encoder.position += 1
    assert encoder_key(segmenter) != key


def test_a_varied_copy_is_the_same_each_time_and_has_its_own_ellipse() -> None:
    one, again, other = varied(EXAMPLES[0], 1), varied(EXAMPLES[0], 1), varied(EXAMPLES[0], 2)
    np.testing.assert_array_equal(one.image, again.image)
    assert one.ellipse == again.ellipse != other.ellipse
    assert varied(EXAMPLES[0], 0) is EXAMPLES[0]
    inside = one.ellipse.mask((120, 80)) > 0
    assert one.image[inside].mean() > 2 * one.image[~inside].mean()


def test_the_papers_boxes_move_outwards_only_and_along_each_axis_by_its_own_px() -> None:
    """0 to 19 px of a frame squashed to 256 x 256: here 4 px wide and 2 px high in the input."""
    head = Ellipse.of(500, 400, 200, 150, 0)
    frames = np.tile([0.0, 256.0, 1024.0, 768.0], (400, 1))
    rng = np.random.default_rng(0)
    moved = paper_boxes(rng, [head] * 400, frames, torch.device("cpu")).numpy()
    out = (moved - np.array(head.box())) * [-1, -1, 1, 1]
    steps = out / [4, 2, 4, 2]
    np.testing.assert_allclose(steps, steps.round(), atol=1e-3)
    # The head's box ends at y = 550 and begins at 250, above the frame: it begins with the frame.
    assert (moved[:, 1] == 256).all()
    for side in (0, 2, 3):
        assert set(steps[:, side].round()) == set(range(20))


def test_the_papers_recipe_knows_where_the_frame_lies_in_the_input(
    segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[np.ndarray] = []

    def watched(rng: Any, heads: Any, frames: np.ndarray, device: Any) -> torch.Tensor:
        seen.append(frames)
        return paper_boxes(rng, heads, frames, device)

    monkeypatch.setattr(fine_tuning, "paper_boxes", watched)
    settings = TrainingSettings(epochs=1, batch=4, recipe="paper", copies=1)
    fine_tune(segmenter, EXAMPLES[:4], EXAMPLES[4:], settings)
    # Frames of 120 x 80 px, letterboxed: the whole width and two thirds of the height.
    side = segmenter.side
    assert len(seen) == 1
    np.testing.assert_allclose(
        seen[0] + 0.5, np.tile([0, side / 6, side, side * 5 / 6], (4, 1)), atol=1e-6
    )


def test_a_plain_sam_learns_to_find_heads_by_itself_or_by_the_papers_boxes(tmp_path: Path) -> None:
    plain = _plain_sam()
    settings = TrainingSettings(epochs=2, batch=4, learning_rate=1e-3)
    tuned, figures = fine_tune(plain, EXAMPLES[:4], EXAMPLES[4:], settings)
    assert len(figures) == 3 and not tuned.needs_prompt and plain.needs_prompt
    tuned.save(tmp_path, plain.card)
    found = Segmenter.load(tmp_path).predict(EXAMPLES[4].image)
    np.testing.assert_array_equal(found.mask, tuned.predict(EXAMPLES[4].image).mask)
    boxed, _ = fine_tune(
        plain, EXAMPLES[:4], EXAMPLES[4:], replace(settings, recipe="paper", copies=1)
    )
    assert boxed.needs_prompt


def _plain_sam() -> Segmenter:
    card = replace(
        compact_card("tiny", TINY),
        architecture={"type": "sam"},
        preprocessing={"profile": "sam"},
    )
    return Segmenter(build_vit(tiny_sam.TINY), card)


def test_a_sam_that_is_used_with_a_box_is_validated_with_it() -> None:
    """Its first epoch would otherwise be compared with what random tokens find."""
    plain = _plain_sam()
    settings = TrainingSettings(epochs=1, batch=4, copies=1)
    validation = EXAMPLES[4:]
    boxed = [
        dice(plain.predict(f.image, box=f.ellipse.box()).mask, f.ellipse.mask(f.size))
        for f in validation
    ]
    tuned, figures = fine_tune(plain, EXAMPLES[:4], validation, settings)
    assert figures[0].validation_dice == pytest.approx(np.mean(boxed), abs=1e-3)
    assert not tuned.needs_prompt and tuned.prompt == "box"
    asked, figures = fine_tune(plain, EXAMPLES[:4], validation, settings, prompt="auto")
    assert figures[0].validation_dice != pytest.approx(np.mean(boxed), abs=1e-3)
    assert asked.prompt == "auto"
    with pytest.raises(ValueError, match="boxes only"):
        paper = replace(settings, recipe="paper")
        fine_tune(plain, EXAMPLES[:4], validation, paper, prompt="auto")


def test_a_sam_does_without_its_box_once_it_is_better_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    predict = Segmenter.predict_embedded

    def better_without(self: Segmenter, embedding: Any, size: Any, **prompts: Any) -> Prediction:
        found = predict(self, embedding, size, **prompts)
        learnt[0] += 1
        wanted = next(f for f in EXAMPLES[4:] if f.size == size)
        head = wanted.ellipse.mask(size) if prompts["box"] is None else found.mask
        return replace(found, mask=np.maximum(head, 0))

    learnt = [0]
    monkeypatch.setattr(Segmenter, "predict_embedded", better_without)
    monkeypatch.setattr(Epochs, "is_better", lambda *_: True)
    settings = TrainingSettings(epochs=1, batch=4, copies=1)
    tuned, _ = fine_tune(_plain_sam(), EXAMPLES[:4], EXAMPLES[4:], settings)
    assert learnt[0] == 8 and tuned.prompt == "auto"


def test_the_confidence_is_calibrated_on_subjects_that_did_not_choose_the_epoch(
    segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A base that is sure of everything keeps nothing of it; few subjects withhold it."""
    sure = {**segmenter.card.preprocessing, "confidence": {"slope": 1.0, "offset": 12.0}}
    base = Segmenter(segmenter.sam, replace(segmenter.card, preprocessing=sure))
    monkeypatch.setattr(Epochs, "is_better", lambda *_: True)  # there is a new model
    settings = TrainingSettings(epochs=1, batch=4, copies=1)
    validation = [replace(_frame(seed), subject=f"s{seed}") for seed in range(20, 32)]
    tuned, _ = fine_tune(base, EXAMPLES[:4], validation, settings)
    assert tuned.confidence is not None and base.confidence is not None
    new = [_frame(seed) for seed in range(50, 60)]
    found = [tuned.predict(f.image) for f in new]
    actual = [
        0.0 if p.ellipse is None else iou(p.ellipse.mask(f.size), f.ellipse.mask(f.size))
        for p, f in zip(found, new, strict=True)
    ]
    assert np.mean([p.confidence for p in found]) == pytest.approx(np.mean(actual), abs=0.15)
    assert np.mean([base.predict(f.image).confidence for f in new]) > 0.9
    few, _ = fine_tune(base, EXAMPLES[:4], validation[:5], settings)
    assert few.confidence is None and few.predict(new[0].image).confidence is None
    again, _ = fine_tune(few, EXAMPLES[:4], validation, settings)  # a withheld one is no reason
    assert again.card.preprocessing["confidence"] is not None


def test_the_iou_heads_estimate_moves_towards_what_its_masks_are_worth(
    segmenter: Segmenter,
) -> None:
    before = segmenter.predict(EXAMPLES[0].image).confidence
    settings = TrainingSettings(epochs=14, batch=4, learning_rate=5e-3, patience=14)
    last: list[float | None] = []
    fine_tune(
        segmenter,
        EXAMPLES[:4],
        EXAMPLES[4:],
        settings,
        on_epoch=lambda _f, model: last.append(model.predict(EXAMPLES[0].image).confidence),
    )
    found = segmenter.predict(EXAMPLES[0].image)
    assert before is not None and last[-1] is not None
    assert last[0] == before == found.confidence and before < 0.2
    assert last[-1] > before + 0.1


def test_an_epoch_must_be_better_by_more_than_chance() -> None:
    def last_is_best(*epochs: Sequence[float]) -> bool:
        training = Epochs(["auto"])
        for dices in epochs:
            frames = [Found(dice, 0.9, dice) for dice in dices]
            last = training.add(0.1, 0.1, {"auto": frames}, dict)
        return last.best

    original = [0.95, 0.96, 0.97, 0.98]
    assert last_is_best(original, [0.96, 0.97, 0.98, 0.99])
    assert not last_is_best(original, [0.99, 0.94, 0.97, 0.98]), "one frame's luck"
    assert not last_is_best(original, original)
    assert last_is_best([0.91] * 4, [0.901, 0.99, 0.99, 0.99])
    assert not last_is_best([0.91] * 4, [0.899, 0.99, 0.99, 0.99]), "a frame fails"
    better = [0.965, 0.975, 0.985, 0.995]
    assert not last_is_best(original, better, [0.96, 0.97, 0.98, 0.99]), "an earlier one is better"


def test_the_papers_recipe_keeps_no_average(segmenter: Segmenter) -> None:
    seen: list[dict[str, torch.Tensor]] = []

    def tune(**changed: Any) -> float:
        settings = TrainingSettings(epochs=2, batch=4, learning_rate=1e-3, copies=1)
        start = _state(segmenter)["mask_decoder.iou_token.weight"]
        seen.clear()
        fine_tune(
            segmenter,
            EXAMPLES[:4],
            EXAMPLES[4:],
            replace(settings, **changed),
            on_epoch=lambda _f, model: seen.append(_state(model)),
        )
        return float((seen[-1]["mask_decoder.iou_token.weight"] - start).abs().max())

    assert tune(average=0.9) < 0.5 * tune(average=0.0)
    assert tune(average=0.9, recipe="paper") == tune(average=0.0, recipe="paper")


def test_lora_changes_the_encoder_and_leaves_its_architecture(segmenter: Segmenter) -> None:
    before = _state(segmenter)
    seen: list[set[str]] = []
    settings = TrainingSettings(epochs=8, batch=4, learning_rate=2e-3, lora=2, patience=8)
    tuned, figures = fine_tune(
        segmenter,
        EXAMPLES[:4],
        EXAMPLES[4:],
        settings,
        on_epoch=lambda _f, model: seen.append(set(model.sam.state_dict())),
    )
    assert any(f.best for f in figures[1:]) and all(keys == set(before) for keys in seen)
    changed = {k for k, v in _state(tuned).items() if not torch.equal(v, before[k])}
    assert "image_encoder.attention.0.self_attn.in_proj_weight" in changed
    assert any(k.startswith("image_encoder.stages") for k in changed)
    layer = "image_encoder.attention.0.linear1.weight"
    assert torch.linalg.matrix_rank(_state(tuned)[layer] - before[layer], rtol=1e-3) == 2
    for key, value in _state(segmenter).items():
        assert torch.equal(value, before[key]), "the model that it started from was changed"
