"""Training, sampling and labelling with a Stable Diffusion whose parts are real and tiny."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from numpy.typing import NDArray

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError, UserError
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.progress import NO_PROGRESS
from fetalstudio.formats.model_card import ModelCard
from fetalstudio.learning import TrainingRun, load_checkpoint
from fetalstudio.simulation import VERSION
from fetalstudio.studies.campaigns.tiny_stable_diffusion import write_tiny
from fetalstudio.synthesis.scene import Scene
from fetalstudio.synthesis.stable_diffusion import lora, memory, sampling, training
from fetalstudio.synthesis.stable_diffusion.canvas import (
    condition_image,
    to_canvas,
    training_image,
)
from fetalstudio.synthesis.stable_diffusion.loading import Parts, load_parts
from fetalstudio.synthesis.stable_diffusion.settings import LoraSettings, settings_for
from fetalstudio.synthesis.stable_diffusion.synthesizer import StableDiffusionSynthesizer
from tests.labelled import of_style

CPU = torch.device("cpu")
HEAD = Ellipse(60, 44, 34, 25, 15)
SCENE = Scene(HEAD, (120, 90), "second")
PAPER = replace(settings_for("paper"), rank=4, alpha=4, steps=4)
CONDITIONED = replace(settings_for("conditioned"), rank=4, alpha=4, steps=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("sd") / "tiny")


@pytest.fixture
def parts(folder: Path) -> Parts:
    return load_parts(folder, None, torch.float32)


@pytest.fixture
def examples() -> list[LabelledFrame]:
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 90, (90, 120), dtype=np.uint8) for _ in range(3)]
    for frame in frames:
        frame[HEAD.mask((120, 90)) > 0] += 100
    styles = ("first", "second", "second")
    return [of_style(f, HEAD, s) for f, s in zip(frames, styles, strict=True)]


def _synthesizer(parts: Parts, settings: LoraSettings, **architecture: Any) -> Any:
    lora.add_lora(parts.unet, settings.rank, settings.alpha)
    if settings.mode == "conditioned":
        lora.widen_conv_in(parts.unet)
    card = ModelCard(
        "tiny", "synthesizer", {"type": "stable-diffusion", **architecture}, {}, "", {}
    )
    return StableDiffusionSynthesizer(parts, card, "0" * 64, CPU, settings)


# -- what the model is shown ---------------------------------------------------------------------


def test_the_packing_is_image_image_outline(examples: list[LabelledFrame]) -> None:
    picture = training_image(examples[0].image, HEAD, 128, PAPER)
    np.testing.assert_array_equal(picture[..., 0], picture[..., 1])
    there = to_canvas((120, 90), 128, "squash")
    x, y = np.round(HEAD.transformed(there).contour(90)).astype(int).T
    assert (picture[y, x, 2] > 100).all()
    assert 0.01 < (picture[..., 2] > 100).mean() < 0.05
    filled = training_image(examples[0].image, HEAD, 128, replace(PAPER, third_channel="filled"))
    assert filled[64, 64, 2] == 255 and filled[2, 2, 2] == 0


def test_squash_fills_the_square_and_letterbox_keeps_proportions() -> None:
    corners = np.array([[-0.5, -0.5], [119.5, 89.5]])
    squashed = to_canvas((120, 90), 64, "squash").apply(corners)
    np.testing.assert_allclose(squashed, [[-0.5, -0.5], [63.5, 63.5]])
    boxed = HEAD.transformed(to_canvas((120, 90), 64, "letterbox"))
    assert boxed.b / boxed.a == pytest.approx(HEAD.b / HEAD.a)


def test_prompts_are_the_papers() -> None:
    assert PAPER.prompt("first") == "An ultrasound image of a fetal head, first trimester."
    assert PAPER.prompt("any") == "An ultrasound image of a fetal head."
    plane = replace(PAPER, prompts="plane")
    assert plane.prompt("first") == plane.prompt("third") != PAPER.prompt("third")


def test_settings_out_of_range_or_unknown_are_refused() -> None:
    for values, message in (
        ({"rank": 0}, "rank is 0"),
        ({"learning_rate": 1.0}, "learning_rate"),
        ({"noise_offset": 0.1}, "not settings"),
        ({"mode": "free"}, "mode is 'free'. Choose paper or conditioned"),
        ({"placement": "stretch"}, "placement is 'stretch'. Choose squash or letterbox"),
    ):
        with pytest.raises(InputError, match=message):
            LoraSettings.of(PAPER.plain() | values)
    assert LoraSettings.of(json.loads(json.dumps(PAPER.plain()))) == PAPER


# -- the adapter ---------------------------------------------------------------------------------


def test_the_wider_first_layer_and_the_lora_change_nothing_at_first(parts: Parts) -> None:
    torch.manual_seed(0)
    noisy, told, text = torch.randn(1, 4, 16, 16), torch.randn(1, 4, 16, 16), torch.randn(1, 77, 16)
    with torch.inference_mode():
        before = parts.unet(noisy, 500, text).sample
        lora.add_lora(parts.unet, 8, 8)
        lora.widen_conv_in(parts.unet)
        after = parts.unet(torch.cat([noisy, told], 1), 500, text).sample
    torch.testing.assert_close(after, before, atol=1e-6, rtol=1e-5)
    assert parts.unet.conv_in.in_channels == 8


def test_an_adapter_comes_back_from_its_files(parts: Parts, folder: Path, tmp_path: Path) -> None:
    lora.add_lora(parts.unet, 4, 8)
    lora.widen_conv_in(parts.unet)
    with torch.no_grad():
        for parameter in lora.trained(parts.unet):
            parameter.add_(0.05 * torch.randn_like(parameter))
    lora.save_adapter(parts.unet, tmp_path)
    again = load_parts(folder, None, torch.float32)
    lora.load_adapter(again.unet, tmp_path / lora.LORA_FILE, alpha=8)
    lora.load_conv_in(again.unet, tmp_path / lora.CONV_IN_FILE)
    noisy, text = torch.randn(1, 8, 16, 16), torch.randn(1, 77, 16)
    with torch.inference_mode():
        answers = [unet(noisy, 500, text).sample for unet in (parts.unet, again.unet)]
    torch.testing.assert_close(answers[0], answers[1])


def test_at_full_size_the_adapter_has_the_papers_number_of_parameters() -> None:
    with torch.device("meta"):
        unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768)
    lora.add_lora(unet, 128, 128)
    assert sum(p.numel() for p in lora.trained(unet)) == pytest.approx(25.5e6, rel=0.01)
    assert sum(p.numel() for p in unet.parameters()) == pytest.approx(885e6, rel=0.01)


def test_the_packages_are_whole() -> None:
    assert "peft" in lora.whole_parts()


def test_an_adapter_of_another_model_is_refused(parts: Parts, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"unet.other.lora_A.weight": torch.zeros(4, 8)}, tmp_path / "l.safetensors")
    with pytest.raises(InputError, match="does not fit"):
        lora.load_adapter(parts.unet, tmp_path / "l.safetensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "n.safetensors")
    with pytest.raises(InputError, match="holds no LoRA"):
        lora.load_adapter(parts.unet, tmp_path / "n.safetensors")


# -- training ------------------------------------------------------------------------------------


def _cached(parts: Parts, examples: list[LabelledFrame], settings: LoraSettings) -> training.Cached:
    return training._cache(parts, examples, settings, CPU, NO_PROGRESS)


def test_training_learns_and_touches_only_the_adapter(
    folder: Path, examples: list[LabelledFrame], tmp_path: Path
) -> None:
    settings = replace(PAPER, steps=25, learning_rate=1e-2, batch=4, latents="mean")
    parts = load_parts(folder, None, torch.float32)
    frozen = {k: v.clone() for k, v in parts.unet.state_dict().items()}
    losses: list[float] = []
    unet = training.train_lora(
        parts,
        examples,
        settings,
        TrainingRun(tmp_path / "c.pt", lambda step, loss: losses.append(loss)),
    )
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])
    now = {k.replace(".base_layer", ""): v for k, v in unet.state_dict().items()}
    assert all(torch.equal(now[k], v) for k, v in frozen.items())
    assert not hasattr(parts, "vae") and not hasattr(parts, "text_encoder")
    saved = load_checkpoint(tmp_path / "c.pt")
    assert saved is not None and saved["step"] == 25
    assert all(group["lr"] == 1e-2 for group in saved["optimizer"]["param_groups"])


def test_a_conditioned_model_learns_to_use_the_drawn_ellipse(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a short training its error is larger when it is told another frame's ellipse."""
    rng = np.random.default_rng(0)
    examples = []
    for _ in range(24):
        low, high = (40, 35, 18, 14, 0), (80, 55, 34, 25, 180)
        ellipse = Ellipse.of(*rng.uniform(low, high))
        frame = rng.integers(0, 60, (90, 120), dtype=np.uint8)
        frame[ellipse.mask((120, 90)) > 0] += 150
        examples.append(of_style(frame, ellipse, "second"))
    parts = load_parts(folder, None, torch.float32)
    schedule = training.DDPMScheduler.from_config(dict(parts.scheduler))
    # An autoencoder that was never trained is unsure of everything: only its means tell a frame.
    settings = replace(CONDITIONED, rank=8, alpha=8, batch=4, latents="mean")
    settings = replace(settings, steps=60, learning_rate=1e-2)
    kept: list[training.Cached] = []
    encode = training._cache

    def cache(*args: Any) -> training.Cached:
        kept.append(encode(*args))
        return kept[0]

    monkeypatch.setattr(training, "_cache", cache)
    unet = training.train_lora(parts, examples, settings, TrainingRun(tmp_path / "c.pt"))
    assert kept[0].conditions is not None
    told_wrong = replace(kept[0], conditions=kept[0].conditions.roll(1, 0))
    judged = replace(settings, batch=16, caption_dropout=0.0)
    for seed in range(3):
        with torch.inference_mode():
            right, wrong = (
                training.step_loss(unet, schedule, told, judged, np.random.default_rng(seed))
                for told in (kept[0], told_wrong)
            )
        assert wrong > 1.01 * right


def test_a_stopped_training_goes_on_as_if_it_had_not(
    folder: Path, examples: list[LabelledFrame], tmp_path: Path
) -> None:
    def train(name: str, stop_after: int) -> dict[str, torch.Tensor]:
        steps = 0

        def on_step(step: int, loss: float) -> None:
            nonlocal steps
            steps += 1

        unet = training.train_lora(
            load_parts(folder, None, torch.float32),
            examples,
            PAPER,
            TrainingRun(tmp_path / name, on_step, lambda: steps >= stop_after),
        )
        return {k: v for k, v in unet.state_dict().items() if "lora_" in k}

    whole = train("whole.pt", 99)
    train("parts.pt", 2)
    resumed = train("parts.pt", 99)
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    with pytest.raises(InputError, match="other settings"):
        training.train_lora(
            load_parts(folder, None, torch.float32),
            examples,
            replace(PAPER, rank=8),
            TrainingRun(tmp_path / "parts.pt"),
        )


def test_what_is_drawn_from_a_frame_follows_the_settings(
    parts: Parts, examples: list[LabelledFrame], folder: Path
) -> None:
    cached = _cached(parts, examples, CONDITIONED)
    assert cached.images.shape == (3, 8, 16, 16) and cached.prompts.shape == (3, 77, 16)
    assert cached.conditions is not None and cached.conditions.shape == (3, 2, 4, 16, 16)
    assert cached.prompt_of == (1, 2, 2)
    again = load_parts(folder, None, torch.float32)
    flipped = _cached(again, examples, replace(PAPER, flip=True))
    assert len(flipped.images) == 6 and flipped.conditions is None

    seen: list[dict[str, torch.Tensor]] = []

    class Recorder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = again.unet
            self.mid_block = again.unet.mid_block

        def forward(self, noisy: Any, times: Any, encoder_hidden_states: Any) -> Any:
            seen.append({"noisy": noisy, "text": encoder_hidden_states})
            return self.inner(noisy[:, :4], times, encoder_hidden_states)

    schedule = training.DDPMScheduler.from_config(dict(again.scheduler))
    settings = replace(CONDITIONED, batch=64, caption_dropout=0.5)
    training.step_loss(Recorder(), schedule, cached, settings, np.random.default_rng(0))
    empty = (seen[0]["text"] == cached.prompts[0]).flatten(1).all(1)
    untold = (seen[0]["noisy"][:, 4:] == 0).flatten(1).all(1)
    assert torch.equal(empty, untold) and 16 < int(empty.sum()) < 48
    training.step_loss(
        Recorder(),
        schedule,
        cached,
        replace(settings, caption_dropout=0.0),
        np.random.default_rng(0),
    )
    assert not (seen[1]["text"] == cached.prompts[0]).flatten(1).all(1).any()
    told = seen[1]["noisy"][:, None, 4:]
    with_sector, without = (
        (told == c).flatten(2).all(2).any(1) for c in cached.conditions.unbind(1)
    )
    assert torch.equal(with_sector, ~without) and 2 < int(without.sum()) < 26  # a fifth of 64


def test_the_condition_without_a_frame_was_in_the_training(
    parts: Parts, examples: list[LabelledFrame], folder: Path
) -> None:
    cached = _cached(parts, examples, CONDITIONED)
    synthesizer = _synthesizer(load_parts(folder, None, torch.float32), CONDITIONED)
    scene = Scene(examples[0].ellipse, (120, 90), "first")
    assert cached.conditions is not None
    torch.testing.assert_close(synthesizer._conditions([scene])[0], cached.conditions[0, 1])


# -- sampling ------------------------------------------------------------------------------------


def test_equal_seeds_give_equal_pixels_whatever_the_batch(parts: Parts) -> None:
    synthesizer = _synthesizer(parts, PAPER)
    together = synthesizer.generate([SCENE, SCENE, SCENE], [7, 8, 7], steps=3)
    alone = synthesizer.generate([SCENE], [8], steps=3)[0]
    assert together[0].shape == (90, 120) and together[0].dtype == np.uint8
    np.testing.assert_array_equal(together[0], together[2])
    assert (np.abs(together[1].astype(int) - alone) <= 1).all()
    assert (together[0] != together[1]).mean() > 0.5
    record = synthesizer.provenance(seed=7, steps=None, guidance=None, style="second")
    assert (record["seed"], record["steps"], record["guidance"]) == (7, 30, 7.5)
    assert record["lora_scale"] == 0.9 and "second trimester" in record["prompt"]


def test_the_drawn_ellipse_reaches_a_conditioned_model(parts: Parts) -> None:
    synthesizer = _synthesizer(parts, CONDITIONED)
    other = replace(SCENE, ellipse=Ellipse(40, 50, 20, 18, 90))
    deaf = synthesizer.generate([SCENE, other], [1, 1], steps=3)
    np.testing.assert_array_equal(deaf[0], deaf[1])  # at first it hears nothing
    with torch.no_grad():
        parts.unet.conv_in.weight[:, 4:] = 0.2
    hearing = synthesizer.generate([SCENE, other], [1, 1], steps=3)
    assert (hearing[0] != hearing[1]).mean() > 0.3
    reference = np.zeros((90, 120), np.uint8)
    reference[10:85, 20:100] = 90
    cut = synthesizer.generate([replace(SCENE, reference=reference)], [1], steps=2)[0]
    assert not cut[:, :14].any() and cut[20:80, 30:90].any()
    picture = condition_image(HEAD, None, 128, 2.0)
    assert picture[44, 60, 0] > 200 > 50 > picture[127, 127, 0]


def test_a_cancel_raises_and_the_unfinished_latents_are_never_decoded(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    class StoppedError(Exception):
        pass

    decoded: list[Any] = []
    monkeypatch.setattr(sampling, "decode", lambda *args: decoded.append(args))
    heard: list[int] = []

    def on_step(done: int, total: int, preview: Callable[[], Any]) -> None:
        heard.append(done)
        if done == 2:
            raise StoppedError

    with pytest.raises(StoppedError):
        _synthesizer(parts, PAPER).generate([SCENE], [1], steps=8, on_step=on_step)
    assert heard == [1, 2] and decoded == []


def test_previews_are_pictures_of_the_frames_size(parts: Parts) -> None:
    seen: list[NDArray[np.uint8]] = []
    _synthesizer(parts, PAPER).generate(
        [SCENE], [1], steps=2, on_step=lambda done, total, preview: seen.append(preview())
    )
    assert [p.shape for p in seen] == [(90, 120)] * 2


@pytest.mark.parametrize("mode", ["paper", "conditioned"])
def test_the_label_is_the_ellipse_in_the_picture_only_where_the_drawn_one_does_not_rule(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    settings = PAPER if mode == "paper" else CONDITIONED
    shown = Ellipse(64, 40, 30, 22, 170)
    black = np.zeros((90, 120), np.uint8)
    picture = training_image(black, shown, 64, replace(settings, outline_width=1.5))
    monkeypatch.setattr(sampling, "decode", lambda vae, latents: [picture])
    synthesizer = _synthesizer(parts, settings)
    drawn = synthesizer.draw([SCENE], [1], steps=2)[0]
    assert drawn.figures["outline_score"] > 0.6
    if mode == "paper":
        assert drawn.ellipse.overlap(shown) > 0.97
    else:
        assert drawn.ellipse == HEAD
        assert drawn.figures["outline_overlap"] == pytest.approx(shown.overlap(HEAD), abs=0.03)
    monkeypatch.setattr(sampling, "decode", lambda vae, latents: [np.zeros_like(picture)])
    lost = synthesizer.draw([SCENE], [1], steps=2)[0]
    assert lost.ellipse == HEAD and lost.figures["outline_score"] == 0


@pytest.mark.parametrize("third", ["outline", "filled"])
def test_the_third_channel_is_read_as_it_was_taught(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, third: Any
) -> None:
    settings = replace(PAPER, third_channel=third, outline_width=1.5)
    shown = Ellipse(64, 40, 30, 22, 170)
    picture = training_image(np.zeros((90, 120), np.uint8), shown, 64, settings)
    monkeypatch.setattr(sampling, "decode", lambda vae, latents: [picture])
    drawn = _synthesizer(parts, settings).draw([SCENE], [1], steps=2)[0]
    assert drawn.ellipse.overlap(shown) > 0.96 and drawn.figures["outline_score"] > 0.6


def test_the_simulated_style_needs_no_model(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    synthesizer = _synthesizer(parts, PAPER)
    monkeypatch.setattr(parts, "unet", None)
    drawn = synthesizer.draw([replace(SCENE, style="simulated")], [3])[0]
    assert drawn.ellipse == HEAD and drawn.image.shape == (90, 120) and drawn.image.std() > 5
    record = synthesizer.provenance(seed=3, steps=None, guidance=None, style="simulated")
    assert record == {
        "synthesizer": "simulator",
        "simulator_version": VERSION,
        "seed": 3,
        "style": "simulated",
    }
    with pytest.raises(InputError, match="batch of their own"):
        synthesizer.draw([replace(SCENE, style="simulated"), SCENE], [3, 4])


def test_only_a_model_that_follows_the_ellipse_is_to_scale(parts: Parts) -> None:
    assert not _synthesizer(parts, PAPER).to_scale
    assert StableDiffusionSynthesizer(
        parts, ModelCard("c", "synthesizer", {}, {}, "", {}), "0" * 64, CPU, CONDITIONED
    ).to_scale


def test_bad_requests_are_refused(parts: Parts) -> None:
    synthesizer = _synthesizer(parts, PAPER)
    for options, message in (({"steps": 0}, "steps"), ({"guidance": 99.0}, "guidance")):
        with pytest.raises(InputError, match=message):
            synthesizer.generate([SCENE], [0], **options)
    with pytest.raises(InputError, match="style"):
        synthesizer.generate([replace(SCENE, style="fourth")], [0])
    with pytest.raises(InputError, match="background 'made'"):
        synthesizer.generate([replace(SCENE, replaces=HEAD)], [0])


def test_pictures_are_those_of_diffusers_own_pipeline_with_the_same_lora(
    parts: Parts, folder: Path, tmp_path: Path
) -> None:
    """In a process of its own, where diffusers may see transformers and peft."""
    synthesizer = _synthesizer(parts, PAPER)
    with torch.no_grad():
        for parameter in lora.trained(parts.unet):
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.manual_seed(3)))
    lora.save_adapter(parts.unet, tmp_path)
    lora.set_scale(parts.unet, 0.9)
    prompt = PAPER.prompt("second")

    def draw() -> torch.Tensor:
        asked, free = synthesizer._prompt(prompt), synthesizer._prompt("")
        return sampling.sample(
            parts.unet, parts.vae, parts.scheduler, asked, free, None, [5], steps=4, guidance=7.5
        )

    ours = draw()
    lora.set_scale(parts.unet, 1.0)
    assert (draw() - ours).abs().max() > 0.01  # so that equality below means something
    code = f"""
import torch
from diffusers import StableDiffusionPipeline, UniPCMultistepScheduler
from transformers import CLIPTokenizer
from pathlib import Path
import json
folder = Path({str(folder)!r})
merges = [tuple(m.split()) for m in (folder/'tokenizer'/'merges.txt').read_text().splitlines()[1:]]
vocab = json.loads((folder/'tokenizer'/'vocab.json').read_text())
tokenizer = CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=77)
pipe = StableDiffusionPipeline.from_pretrained(
    folder, tokenizer=tokenizer, safety_checker=None, feature_extractor=None, local_files_only=True)
pipe.scheduler = UniPCMultistepScheduler.from_config(pipe.scheduler.config)
pipe.load_lora_weights({str(tmp_path)!r}, weight_name='lora.safetensors', adapter_name='head')
pipe.set_adapters(['head'], [0.9])
latents = torch.randn(4, 16, 16, generator=torch.Generator().manual_seed(5))[None]
made = pipe({prompt!r}, num_inference_steps=4, guidance_scale=7.5, latents=latents,
            output_type='latent', height=64, width=64).images
torch.save(made, {str(tmp_path / "theirs.pt")!r})
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    theirs = torch.load(tmp_path / "theirs.pt", weights_only=True)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)


# -- memory --------------------------------------------------------------------------------------

LARGE, MEDIUM, SMALL = memory.presets(torch.device("cuda"))
NEEDS = [(LARGE, 8 * 10**9), (MEDIUM, 4 * 10**9), (SMALL, 2 * 10**9)]


def test_the_largest_preset_that_fits_is_taken() -> None:
    assert memory.choose("auto", NEEDS, 9 * 10**9, CPU) == [LARGE, MEDIUM, SMALL]
    assert memory.choose("auto", NEEDS, 5 * 10**9, CPU) == [MEDIUM, SMALL]
    assert memory.choose("small", NEEDS, 9 * 10**9, CPU) == [SMALL]
    assert memory.choose("auto", NEEDS, None, CPU) == [LARGE, MEDIUM, SMALL]


def test_too_large_a_preset_is_refused_with_the_one_that_fits() -> None:
    with pytest.raises(InputError, match=r"8\.0 GB.*'large'.*3\.0 GB are free.*'small'"):
        memory.choose("large", NEEDS, 3 * 10**9, CPU)
    with pytest.raises(UserError, match=r"2\.0 GB.*1\.0 GB are free.*compact"):
        memory.choose("auto", NEEDS, 10**9, CPU)
    with pytest.raises(InputError, match="no memory preset 'huge'"):
        memory.choose("huge", NEEDS, 10**12, CPU)


def test_free_memory_is_read_and_decides(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    free = memory.free_bytes(CPU)
    assert free is None or 10**7 < free < 10**13
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1000)
    assert memory.room_for(parts, torch.device("cuda")) == 1000
    # What was needed to train it says nothing of what there is now.
    synthesizer = _synthesizer(parts, PAPER, memory="large")
    synthesizer.generate([SCENE], [0], steps=2)  # what the model itself holds is room for 16 bits
    record = synthesizer.provenance(seed=0, steps=2, guidance=None, style="any")
    assert record["memory_preset"] == "small"
    monkeypatch.setattr(memory, "needed_bytes", lambda *args: 10**12)
    with pytest.raises(UserError, match="are free"):
        StableDiffusionSynthesizer(parts, synthesizer.card, synthesizer.hash, CPU, PAPER).generate(
            [SCENE], [0], steps=2
        )
    with pytest.raises(UserError, match=r"takes 4\.0 GB of memory"):
        memory.check_room_to_load(4 * 10**9)


def test_the_estimate_for_stable_diffusion_1_5_is_of_the_right_order(parts: Parts) -> None:
    """With the sizes of the real model, of which there are weights nowhere here."""

    class Sized(torch.nn.Module):
        def __init__(self, count: int, **config: Any) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.empty(count, device="meta"))
            self.config = type("Config", (), config)

    real = Parts(
        Sized(860_000_000, block_out_channels=(320, 640), sample_size=64),
        Sized(84_000_000, block_out_channels=(1, 1, 1, 1)),
        Sized(123_000_000),
        None,
        {},
    )
    gpu = torch.device("cuda")
    sampled = [memory.needed_bytes(real, way, gpu) / 1e9 for way in memory.presets(gpu)]
    assert sampled == sorted(sampled, reverse=True)
    assert 2 < sampled[2] < 3.5 and 2.5 < sampled[1] < 4 and 5 < sampled[0] < 8
    small = memory.needed_bytes(real, SMALL, gpu, batch=1, trained=25_500_000) / 1e9
    assert 3 < small < 8


def counted(forward: Callable[..., Any], sizes: list[int]) -> Callable[..., Any]:
    """The same function, which notes the size of each batch."""

    def call(x: torch.Tensor, *args: Any, **options: Any) -> Any:
        sizes.append(len(x))
        return forward(x, *args, **options)

    return call


def _runs_out(module: Any, monkeypatch: pytest.MonkeyPatch, after: int, times: int) -> None:
    """The ``after``-th call of the module runs out of memory, and so do the next ones."""
    real, calls = module.forward, 0

    def forward(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if after <= calls < after + times:
            raise torch.OutOfMemoryError("injected")
        return real(*args, **options)

    monkeypatch.setattr(module, "forward", forward)


def test_sampling_that_runs_out_of_memory_goes_on_smaller_and_says_so(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    synthesizer = _synthesizer(parts, PAPER)
    expected = synthesizer.generate([SCENE, SCENE], [1, 2], steps=2)
    sizes: list[int] = []
    _runs_out(parts.unet, monkeypatch, after=2, times=1)
    failing = parts.unet.forward
    monkeypatch.setattr(parts.unet, "forward", counted(failing, sizes))
    warnings: list[str] = []
    drawn = synthesizer.draw([SCENE, SCENE], [1, 2], steps=2, on_warning=warnings.append)
    assert len(warnings) == 1 and "'large'" in warnings[0] and "'medium'" in warnings[0]
    assert sizes == [4, 4, 2, 2, 2, 2]  # guided: two together, then one by one
    for one, other in zip(drawn, expected, strict=True):
        assert (np.abs(one.image.astype(int) - other) <= 1).all()
    record = synthesizer.provenance(seed=1, steps=2, guidance=None, style="any")
    assert record["memory_preset"] == "medium"


def test_memory_that_never_suffices_ends_with_a_message(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    _runs_out(parts.unet, monkeypatch, after=1, times=99)
    warnings: list[str] = []
    with pytest.raises(UserError, match="even with the preset 'small'"):
        _synthesizer(parts, PAPER).draw([SCENE], [1], steps=2, on_warning=warnings.append)
    assert len(warnings) == 2


def test_the_smallest_preset_asks_one_branch_after_the_other(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, free = torch.randn(2, 77, 16), torch.randn(1, 77, 16)
    sizes: list[int] = []
    real = parts.unet.forward
    monkeypatch.setattr(parts.unet, "forward", counted(real, sizes))

    def sampled(apart: bool) -> torch.Tensor:
        return sampling.sample(
            *(parts.unet, parts.vae, parts.scheduler, asked, free, None, [1, 2]),
            steps=2,
            guidance=5.0,
            apart=apart,
        )

    torch.testing.assert_close(sampled(True), sampled(False), atol=1e-4, rtol=1e-4)
    assert sizes == [2, 2, 2, 2, 4, 4]


def test_pictures_that_overflow_in_16_bits_are_made_anew_in_32(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    synthesizer = _synthesizer(parts, PAPER)
    expected = synthesizer.generate([SCENE], [1], steps=2)[0]
    # As on a GPU, which has 16 bits at each preset.
    half = {True: torch.float16, False: torch.float32}
    monkeypatch.setattr(memory.Preset, "dtype", lambda self, *_, **__: half[self.half])
    synthesizer._ways = [replace(way, half=True) for way in memory.presets(CPU)]
    real = parts.unet.forward

    def forward(x: torch.Tensor, *args: Any, **options: Any) -> Any:
        answer = real(x, *args, **options)
        if x.dtype == torch.float16:
            answer.sample = answer.sample * torch.nan
        return answer

    monkeypatch.setattr(parts.unet, "forward", forward)
    synthesizer._prompts = {key: value * torch.nan for key, value in synthesizer._prompts.items()}
    warnings: list[str] = []
    for _ in range(2):
        drawn = synthesizer.draw([SCENE], [1], steps=2, on_warning=warnings.append)[0]
        # The weights were rounded to 16 bits on the way.
        assert np.abs(drawn.image.astype(int) - expected).mean() < 3
    assert len(warnings) == 1 and "32 bits" in warnings[0]


def test_the_autoencoder_encodes_in_32_bits_whatever_its_own_precision(parts: Parts) -> None:
    """As Stable Diffusion's own, this one overflows in float16."""
    pictures = [np.full((parts.side, parts.side, 3), grey, np.uint8) for grey in (0, 90, 255)]
    with torch.no_grad():
        parts.vae.encoder.conv_in.weight *= 20_000 / parts.vae.encoder.conv_in.weight.abs().max()
    parts.vae.to(torch.float16)
    assert not torch.isfinite(parts.vae.encoder.conv_in(torch.ones(1, 3, 8, 8).half())).all()
    latents = sampling.encode(parts.vae, pictures, CPU)
    assert torch.isfinite(latents).all() and latents.dtype == torch.float32
    assert parts.vae.dtype == torch.float16
    parts.vae.to(torch.float32)
    torch.testing.assert_close(sampling.encode(parts.vae, pictures, CPU), latents)


def test_a_condition_that_is_no_numbers_is_not_drawn_after(parts: Parts) -> None:
    with torch.no_grad():
        parts.vae.encoder.conv_out.bias.fill_(torch.nan)
    with pytest.raises(OverflowError, match="not finite"):
        sampling.encode(parts.vae, [np.zeros((parts.side, parts.side, 3), np.uint8)], CPU)
    synthesizer = _synthesizer(parts, CONDITIONED)
    with pytest.raises(UserError, match="images of tiny are not numbers"):
        synthesizer.draw([SCENE], [1], steps=2)


def test_a_training_with_a_damaged_autoencoder_says_so(
    parts: Parts, examples: list[LabelledFrame], tmp_path: Path
) -> None:
    with torch.no_grad():
        parts.vae.encoder.conv_out.bias.fill_(torch.nan)
    named = [replace(example, name=f"frame {i}") for i, example in enumerate(examples)]
    with pytest.raises(UserError, match="frame 0 are not numbers"):
        training.train_lora(parts, named, PAPER, TrainingRun(tmp_path / "state.pt"))
    assert not (tmp_path / "state.pt").exists()


def test_answers_that_are_no_numbers_become_no_pictures(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    synthesizer = _synthesizer(parts, PAPER)
    with torch.no_grad():
        parts.unet.conv_out.bias.fill_(torch.nan)
    with pytest.raises(UserError, match="images of tiny are not numbers"):
        synthesizer.draw([SCENE], [1], steps=2)


def test_training_that_runs_out_of_memory_goes_on_from_its_checkpoint(
    parts: Parts, examples: list[LabelledFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _runs_out(parts.unet, monkeypatch, after=3, times=1)
    warnings: list[str] = []
    steps: list[int] = []
    run = TrainingRun(tmp_path / "c.pt", lambda step, loss: steps.append(step), save_every_s=0)
    unet = training.train_lora(
        parts,
        examples,
        PAPER,
        run,
        warn=warnings.append,
    )
    assert steps == [1, 2, 3, 4]
    # Not 'medium', which trains as 'large' does.
    assert len(warnings) == 1 and "'large'" in warnings[0] and "'small'" in warnings[0]
    assert not lora.trained(unet)
