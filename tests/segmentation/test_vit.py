"""Real SAM on a tiny configuration: the same model as segment_anything's and transformers'."""

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.metrics import dice
from fetalstudio.formats.model_card import ModelCard
from fetalstudio.segmentation.checkpoints import (
    from_hugging_face,
    read_checkpoint,
    to_hugging_face,
    write_checkpoint,
)
from fetalstudio.segmentation.profiles import PROFILES, MedSamProfile, SamProfile
from fetalstudio.segmentation.sam import Sam, decode
from fetalstudio.segmentation.segmenter import Segmenter
from fetalstudio.segmentation.vit import (
    VARIANTS,
    VitConfig,
    build_vit,
    config_of,
    load_vit,
    variant_of,
)
from tests.segmentation.tiny_sam import TINY, vanilla

BOXES = torch.tensor([[5.0, 6, 40, 50], [1, 2, 30, 40], [20, 20, 60, 60]])


def _card(profile: str = "sam") -> ModelCard:
    return ModelCard(
        name="tiny",
        kind="segmenter",
        architecture={"type": "sam", "variant": "vit"},
        preprocessing={"profile": profile},
        licence="Apache-2.0",
        training_data={},
    )


def _answer(sam: Sam, image: torch.Tensor, box: torch.Tensor) -> torch.Tensor:
    """segment_anything's own way, one image and one box: logits (1, 1, 16, 16)."""
    sparse, dense = sam.prompt_encoder(points=None, boxes=box, masks=None)
    return sam.mask_decoder(
        image_embeddings=sam.image_encoder(image),
        image_pe=sam.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=False,
    )[0]


@torch.no_grad()
def test_batches_decode_as_the_original_decodes_one_by_one() -> None:
    original = vanilla()
    sam = load_vit(original.state_dict()).eval()
    assert sam.state_dict().keys() == original.state_dict().keys()
    images = torch.randn(3, 3, 64, 64)
    logits, _ = decode(sam, sam.image_encoder(images), boxes=BOXES)
    for i in range(3):
        expected = _answer(original, images[i : i + 1], BOXES[i : i + 1])
        torch.testing.assert_close(logits[i : i + 1], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("config", [TINY, *VARIANTS.values()])
def test_a_model_is_known_by_its_shapes(config: VitConfig) -> None:
    with torch.device("meta"):
        state = build_vit(config).state_dict()
    assert config_of(state) == config
    assert VARIANTS.get(variant_of(config), TINY) == config


@torch.no_grad()
def test_hugging_face_has_the_same_model_under_other_names() -> None:
    transformers = pytest.importorskip("transformers")
    vision = transformers.SamVisionConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=64,
        mlp_dim=128,
        global_attn_indexes=[1],
        window_size=3,
    )
    prompts = transformers.SamPromptEncoderConfig(image_size=64)
    config = transformers.SamConfig(
        vision_config=vision.to_dict(), prompt_encoder_config=prompts.to_dict()
    )
    theirs = transformers.SamModel(config).eval()
    original = vanilla()
    renamed = to_hugging_face(original.state_dict())
    theirs.load_state_dict(renamed)  # refuses a missing and an unknown key
    images = torch.randn(1, 3, 64, 64)
    answer = theirs(pixel_values=images, input_boxes=BOXES[None, :1], multimask_output=False)
    expected = _answer(original, images, BOXES[:1])
    torch.testing.assert_close(answer.pred_masks[:, 0], expected, rtol=1e-4, atol=1e-4)
    back = from_hugging_face(theirs.state_dict())
    assert back.keys() == original.state_dict().keys()
    for key, value in original.state_dict().items():
        assert torch.equal(back[key], value), key


def test_checkpoints_are_read_however_they_are_stored(tmp_path: Path) -> None:
    state = vanilla().state_dict()
    for suffix in (".safetensors", ".pth"):
        write_checkpoint(state, tmp_path / f"plain{suffix}")
        write_checkpoint(to_hugging_face(state), tmp_path / f"hugging-face{suffix}")
    wrapped = {"model": {f"module.{k}": v for k, v in state.items()}, "epoch": 3}
    torch.save(wrapped, tmp_path / "wrapped.pth")
    paths = list(tmp_path.iterdir())
    assert len(paths) == 5
    for path in paths:
        found = read_checkpoint(path).state
        assert found.keys() == state.keys(), path
        assert all(torch.equal(found[k], v) for k, v in state.items()), path


def test_a_file_that_runs_code_is_not_read(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (str(tmp_path / "harmed"),)

    path = tmp_path / "harm.pth"
    with path.open("wb") as stream:
        pickle.dump({"model": Harm()}, stream, protocol=2)
    with pytest.raises(InputError, match=r"harm\.pth holds more than weights"):
        read_checkpoint(path)
    assert not (tmp_path / "harmed").exists()


def test_noise_is_never_more_than_bad_input(tmp_path: Path) -> None:
    write_checkpoint({"a": torch.zeros(3)}, tmp_path / "good.pth")
    good, rng = (tmp_path / "good.pth").read_bytes(), np.random.default_rng(0)
    for i in range(60):
        suffix = (".pth", ".safetensors")[i % 2]
        noise = rng.bytes(int(rng.integers(0, 200)))
        (tmp_path / f"noise{suffix}").write_bytes(good[: int(rng.integers(0, 40))] + noise)
        with pytest.raises(InputError, match="noise"):
            read_checkpoint(tmp_path / f"noise{suffix}")


def test_wrong_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.pth does not exist"):
        read_checkpoint(tmp_path / "none.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(InputError, match=r"list\.pth does not hold the weights"):
        read_checkpoint(tmp_path / "list.pth")
    write_checkpoint(vanilla().state_dict(), tmp_path / "cut.pth")
    cut = (tmp_path / "cut.pth").read_bytes()[:-300]
    (tmp_path / "cut.pth").write_bytes(cut)
    with pytest.raises(InputError, match=r"cut\.pth cannot be read"):
        read_checkpoint(tmp_path / "cut.pth")


@torch.no_grad()
def test_saved_and_exported_it_is_the_same_model(tmp_path: Path) -> None:
    original = vanilla()
    segmenter = Segmenter(load_vit(original.state_dict()), _card(), torch.device("cpu"))
    segmenter.save(tmp_path, segmenter.card)
    loaded = Segmenter.load(tmp_path, torch.device("cpu"))
    for key, value in original.state_dict().items():
        assert torch.equal(loaded.sam.state_dict()[key], value), key
    write_checkpoint(loaded.sam.state_dict(), tmp_path / "plain.pth")
    plain = vanilla(seed=1)
    plain.load_state_dict(torch.load(tmp_path / "plain.pth"))
    images = torch.randn(1, 3, 64, 64)
    ours, _ = decode(loaded.sam, loaded.sam.image_encoder(images), boxes=BOXES[:1])
    assert torch.equal(_answer(plain, images, BOXES[:1]), _answer(original, images, BOXES[:1]))
    torch.testing.assert_close(ours, _answer(plain, images, BOXES[:1]), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_the_registry_of_segment_anything_loads_a_vit_b(tmp_path: Path) -> None:
    from segment_anything.build_sam import sam_model_registry

    sam, path = build_vit(VARIANTS["vit_b"]).eval(), tmp_path / "vit_b.pth"
    write_checkpoint(sam.state_dict(), path)
    plain = sam_model_registry["vit_b"](checkpoint=str(path))
    path.unlink()  # 375 MB
    assert plain.state_dict().keys() == sam.state_dict().keys()
    for key, value in plain.state_dict().items():
        assert torch.equal(sam.state_dict()[key], value), key
    embedding = torch.randn(1, 256, 64, 64)
    plain.image_encoder = torch.nn.Identity()  # its weights are equal; it takes 20 s
    torch.testing.assert_close(
        decode(sam, embedding, boxes=16 * BOXES[:1])[0],
        _answer(plain, embedding, 16 * BOXES[:1]),
        rtol=1e-4,
        atol=1e-5,
    )


def test_learned_tokens_survive_saving_and_make_a_prompt_unnecessary(tmp_path: Path) -> None:
    segmenter = Segmenter(load_vit(vanilla().state_dict()), _card())
    image = np.zeros((50, 60), np.uint8)
    assert segmenter.needs_prompt
    with pytest.raises(InputError, match="tiny finds no head by itself"):
        segmenter.predict(image)
    assert segmenter.predict(image, box=(5, 5, 40, 40)).mask.shape == (50, 60)
    segmenter.sam.prompt_encoder.add_auto_tokens(3)
    segmenter.save(tmp_path, segmenter.card)
    loaded = Segmenter.load(tmp_path)
    assert not loaded.needs_prompt
    np.testing.assert_array_equal(loaded.predict(image).mask, segmenter.predict(image).mask)


def test_the_sam_profile_is_segment_anythings() -> None:
    """``ResizeLongestSide`` enlarges linearly and ``Sam.preprocess`` scales and pads."""
    image = np.random.default_rng(0).integers(0, 255, (27, 40), dtype=np.uint8)
    w, h = 64, 43
    resized = cv2.resize(image, (w, h), interpolation=cv2.INTER_LINEAR)
    stacked = torch.from_numpy(np.repeat(resized[None], 3, 0)).float()
    expected = vanilla().preprocess(stacked)
    found = SamProfile(64).prepare(image)
    assert found.shape == (3, 64, 64)
    assert torch.equal(found[:, h:], expected[:, h:])
    assert (found - expected).abs().max() < 1.5 / 57  # a grey value, which it rounds and we do not


def test_the_medsam_profile_stretches_and_spans_0_to_1() -> None:
    image = np.full((30, 90), 40, np.uint8)
    image[10:20, 30:60] = 200
    found = MedSamProfile(60).prepare(image)
    assert found.shape == (3, 60, 60)
    assert found.min() == 0 and found.max() == 1
    rows, columns = torch.nonzero(found[0] > 0.5, as_tuple=True)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (20, 39, 20, 39)
    corners = MedSamProfile(60).to_input((90, 30)).apply(np.array([[29.5, 9.5], [59.5, 19.5]]))
    np.testing.assert_allclose(corners, [[19.5, 19.5], [39.5, 39.5]])
    assert MedSamProfile(60).prepare(np.zeros((8, 8), np.uint8)).abs().max() == 0


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("size", [(90, 64), (63, 130), (200, 150)])
def test_a_frame_and_its_head_go_the_same_way(name: str, size: tuple[int, int]) -> None:
    """What is drawn in the frame lies in the prepared input where the head is mapped to."""
    profile = PROFILES[name](96)
    head = Ellipse(0.55 * size[0], 0.45 * size[1], 0.3 * min(size), 0.2 * min(size), 25)
    seen = profile.prepare(head.mask(size) * np.uint8(255))[0].numpy()
    bright = seen > (seen.min() + seen.max()) / 2
    assert dice(bright, head.transformed(profile.to_input(size)).mask((96, 96))) > 0.97
