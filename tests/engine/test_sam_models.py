"""SAM checkpoints as a user adds, uses, verifies and exports them; tiny ones with real parts."""

import gzip
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from fetalstudio.cli import main
from fetalstudio.cli.console import Console
from fetalstudio.core.errors import InputError
from fetalstudio.engine.cohort_split import labelled_frames
from fetalstudio.engine.jobs.evaluate.request import EvaluateRequest
from fetalstudio.engine.jobs.propose.request import ProposeRequest
from fetalstudio.engine.jobs.train.data import select_training_data
from fetalstudio.engine.models import loading as models
from fetalstudio.engine.models import sam_models
from fetalstudio.engine.models.catalogue import FoundModel
from fetalstudio.engine.models.loading import find_model, load_segmenter
from fetalstudio.engine.models.not_known import not_known
from fetalstudio.engine.models.sam_models import add_sam, export_sam
from fetalstudio.engine.models.seen import cohorts_learnt, seen_by
from fetalstudio.engine.models.verify import verify
from fetalstudio.engine.process.local import run_job
from fetalstudio.formats.files import sha256_of
from fetalstudio.formats.model_card import ModelCard, hashed_subject, write_seen_subjects
from fetalstudio.project.project import Project
from fetalstudio.segmentation.checkpoints import to_hugging_face, write_checkpoint
from fetalstudio.segmentation.profiles import MedSamProfile, SamProfile
from fetalstudio.segmentation.segmenter import Prediction, Segmenter
from tests.progress import Watched
from tests.segmentation.tiny_sam import vanilla

Command = Callable[..., Any]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("FETALSTUDIO_HOME", str(tmp_path / "home"))
    yield tmp_path / "home"
    models._segmenter.cache_clear()


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    write_checkpoint(vanilla().state_dict(), tmp_path / "sam_tiny.pth")
    return tmp_path / "sam_tiny.pth"


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*arguments: str | Path, status: int = 0) -> Any:
        assert main([*map(str, arguments), "--json"]) == status
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    return run


def test_added_verified_evaluated_and_exported_by_commands(
    checkpoint: Path, sample_project: Project, tmp_path: Path, command: Command
) -> None:
    added = command("models", "add", checkpoint, "--name", "mine")["added"]
    checkpoint.unlink()  # it was copied
    assert (added["kind"], added["name"]) == ("segmenter", "mine")
    listed = {(m["kind"], m["name"], m["origin"]) for m in command("models", "list")["models"]}
    assert ("segmenter", "mine", "user") in listed
    assert command("models", "verify")["problems"] == []
    project = sample_project.path
    boxed = command("evaluate", project, "--segmenter", "mine", "--prompt", "box")
    assert boxed["n"] > 0
    assert command("evaluate", project, "--segmenter", "mine")["prompt"] == "box"
    for asked in (["evaluate", project], ["propose", project]):
        said = command(*asked, "--segmenter", "mine", "--prompt", "auto", status=2)["error"]
        assert "mine finds no head by itself" in said and "compact" in said
    out = tmp_path / "plain.pth"
    command("models", "export", "mine", out)
    assert (
        json.loads((tmp_path / "plain.pth.json").read_text())["preprocessing"]["profile"] == "sam"
    )
    plain = vanilla(seed=1)
    plain.load_state_dict(torch.load(out))
    assert all(torch.equal(plain.state_dict()[k], v) for k, v in vanilla().state_dict().items())


def test_the_command_shows_how_much_of_a_checkpoint_is_read(
    checkpoint: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched()
    monkeypatch.setattr(Console, "reading", lambda self, note: nullcontext(watched))
    command("models", "add", checkpoint)
    assert watched.steps[-1] == (checkpoint.stat().st_size,) * 2


def test_large_checkpoints_stay_where_they_are_and_are_missed(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.setattr(sam_models, "COPIED_UP_TO", 1000)
    added = add_sam(checkpoint)
    assert added.name == "sam_tiny" and not list(added.folder.glob("*.safetensors"))
    assert load_segmenter(added).needs_prompt and verify(added) is None
    whole = checkpoint.read_bytes()
    checkpoint.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "has changed since the model was added" in str(verify(added))
    assert "has changed since the model was added" in command("models", "verify", status=1)["error"]
    checkpoint.unlink()
    models._segmenter.cache_clear()
    with pytest.raises(InputError, match=r"sam_tiny\.pth is no longer there.*models add"):
        load_segmenter(added)


def test_damaged_weights_are_found(checkpoint: Path) -> None:
    added = add_sam(checkpoint)
    weights = added.folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert "model.safetensors is damaged" in str(verify(added))
    weights.unlink()
    checkpoint.unlink()
    assert "no longer there" in str(verify(added))


def test_medsam_has_to_be_said(checkpoint: Path, tmp_path: Path) -> None:
    file = checkpoint.rename(tmp_path / "medsam_vit_b.pth")
    with pytest.raises(InputError, match=r"may be MedSAM.*--profile medsam"):
        add_sam(file)
    assert isinstance(load_segmenter(add_sam(file, profile="medsam")).profile, MedSamProfile)
    assert isinstance(load_segmenter(add_sam(file, "other", "sam")).profile, SamProfile)


def test_hugging_faces_folder_and_names_go_both_ways(tmp_path: Path) -> None:
    state = vanilla().state_dict()
    folder = tmp_path / "sam-vit-tiny"
    folder.mkdir()
    write_checkpoint(to_hugging_face(state), folder / "model.safetensors")
    added = add_sam(folder)
    found = load_segmenter(added).sam.state_dict()
    assert all(torch.equal(found[k].cpu(), v) for k, v in state.items())
    export_sam(added, tmp_path / "back.safetensors", hugging_face=True)
    assert sam_models.is_sam(tmp_path / "back.safetensors")
    again = add_sam(tmp_path / "back.safetensors")
    assert ModelCard.read(again.folder).architecture == ModelCard.read(added.folder).architecture


def test_what_is_no_sam_is_one_clear_message(tmp_path: Path, checkpoint: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    state = vanilla().state_dict()
    del state["mask_decoder.iou_token.weight"]
    torch.save(state, tmp_path / "part.pth")
    for path, message in (
        ("other.pth", r"other\.pth is not one of the SAM.*keys of SAM's image encoder"),
        ("part.pth", r"part\.pth is not one of the SAM.*Missing key.*iou_token"),
        ("none.pth", r"none\.pth does not exist"),
    ):
        with pytest.raises(InputError, match=message):
            add_sam(tmp_path / path)
    add_sam(checkpoint, "mine")
    with pytest.raises(InputError, match="is taken"):
        add_sam(checkpoint, "mine")
    with pytest.raises(InputError, match="FetalStudio's own encoder"):
        export_sam(find_model("segmenter", "compact"), tmp_path / "out.pth")
    with pytest.raises(InputError, match=r"ends in \.pth"):
        export_sam(find_model("segmenter", "mine"), tmp_path / "out.zip")


def _key(state: dict[str, torch.Tensor]) -> str:
    return next(key for key in state if key.endswith("blocks.0.attn.qkv.weight"))


@pytest.mark.parametrize(
    ("wrapper", "prefix", "left_out"),
    [
        ("", "module.", "the prefix 'module.' of each key"),
        ("", "sam.", "the prefix 'sam.' of each key"),
        ("state_dict", "model.module.", "the wrapper 'state_dict' and the prefix 'model.module.'"),
        ("model_state", "", "the wrapper 'model_state'"),
        ("model_state", "sam.", "the wrapper 'model_state' and the prefix 'sam.' of each key"),
        ("ema", "_orig_mod.", "the wrapper 'ema' and the prefix '_orig_mod.' of each key"),
    ],
)
@pytest.mark.parametrize("hugging_face", [False, True])
def test_what_a_training_put_around_the_weights_is_left_out_and_said(
    tmp_path: Path, wrapper: str, prefix: str, left_out: str, hugging_face: bool
) -> None:
    plain = vanilla().state_dict()
    state = to_hugging_face(plain) if hugging_face else plain
    stored: Any = {prefix + key: value for key, value in state.items()}
    if wrapper:
        stored = {"epoch": 3, "optimizer": {"state": {}}, wrapper: stored}
    torch.save(stored, tmp_path / "wrapped.pth")
    assert sam_models.is_sam(tmp_path / "wrapped.pth")
    added = add_sam(tmp_path / "wrapped.pth")
    found = load_segmenter(added).sam.state_dict()
    assert all(torch.equal(found[key].cpu(), value) for key, value in plain.items())
    assert left_out in ModelCard.read(added.folder).training_data["left_out"]


def test_of_several_entries_the_model_is_taken(tmp_path: Path) -> None:
    mine, other = vanilla().state_dict(), vanilla(seed=1).state_dict()
    torch.save({"ema": other, "model": mine, "losses": {"dice": 0.1}}, tmp_path / "two.pth")
    added = add_sam(tmp_path / "two.pth")
    found = load_segmenter(added).sam.state_dict()
    assert torch.equal(found[_key(mine)].cpu(), mine[_key(mine)])
    left_out = ModelCard.read(added.folder).training_data["left_out"]
    assert left_out == "the wrapper 'model' and the weights under 'ema'"


def test_of_two_models_under_prefixes_none_is_taken(tmp_path: Path) -> None:
    student, teacher = vanilla().state_dict(), vanilla(seed=1).state_dict()
    stored = {f"student.{key}": value for key, value in student.items()}
    torch.save(stored | {f"teacher.{k}": v for k, v in teacher.items()}, tmp_path / "two.pth")
    with pytest.raises(InputError, match=r"two models, with the prefixes 'student.' and 'teacher"):
        add_sam(tmp_path / "two.pth")
    part = {f"teacher.{k}": v for k, v in teacher.items() if not k.startswith("prompt_encoder.")}
    torch.save(stored | part, tmp_path / "part.pth")
    with pytest.raises(InputError, match="two models"):
        add_sam(tmp_path / "part.pth")


def _lora_beside(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    key = _key(state).replace("qkv.weight", "qkv.lora_A.default.weight")
    return {**state, key: torch.zeros(4, 64)}


def _wrapped_by_samed(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    key = _key(state).replace("qkv.weight", "qkv.linear_a_q.weight")
    return {**state, key: torch.zeros(4, 64)}


def _in_eight_bits(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key: (100 * value).to(torch.int8) for key, value in state.items()}


def _in_a_float_of_eight_bits(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key: value.to(torch.float8_e4m3fn) for key, value in state.items()}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (_lora_beside, "holds a LoRA beside the weights"),
        (_wrapped_by_samed, "holds a LoRA beside the weights"),
        (_in_eight_bits, "is quantised: it stores .* as int8"),
        (_in_a_float_of_eight_bits, "is quantised: it stores .* as float8_e4m3fn"),
    ],
)
@pytest.mark.parametrize("name", ["x.pth", "x.safetensors"])
def test_what_is_not_plain_weights_is_named(
    tmp_path: Path, changed: Callable[..., dict[str, torch.Tensor]], said: str, name: str
) -> None:
    state = changed(vanilla().state_dict())
    save_file(state, tmp_path / name) if name.endswith("s") else torch.save(state, tmp_path / name)
    with pytest.raises(InputError, match=said):
        add_sam(tmp_path / name)


def test_folders_of_an_adapter_and_of_shards_are_named(tmp_path: Path) -> None:
    for name, said in (
        ("adapter_config.json", "is a LoRA"),
        ("model.safetensors.index.json", "holds its weights in several files"),
    ):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_text("{}")
        with pytest.raises(InputError, match=said):
            sam_models.is_sam(folder)


@pytest.mark.parametrize(
    "name",
    ["SAM.PTH", "noext", "x.ckpt", "x.tar", "x.pth.tar", "x.pt", "pickled.safetensors"],
)
def test_the_content_says_what_a_file_is(tmp_path: Path, name: str) -> None:
    torch.save(vanilla().state_dict(), tmp_path / name)
    assert sam_models.is_sam(tmp_path / name)
    assert add_sam(tmp_path / name, "mine").name == "mine"


def test_sam_as_safetensors_with_a_prefix_is_no_stable_diffusion(
    tmp_path: Path, command: Command
) -> None:
    state = {f"sam.{key}": value for key, value in vanilla().state_dict().items()}
    save_file(state, tmp_path / "mine.safetensors")
    assert command("models", "add", tmp_path / "mine.safetensors")["added"]["kind"] == "segmenter"


def test_what_is_no_model_is_called_what_it_is(tmp_path: Path, command: Command) -> None:
    sizes = torch.zeros(4, 320)
    layer = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    save_file({f"unet.{layer}.lora_A.weight": sizes}, tmp_path / "diffusers.safetensors")
    kohya = f"lora_unet_{layer.replace('.', '_')}"
    save_file(
        {f"{kohya}.lora_down.weight": sizes, f"{kohya}.alpha": torch.ones(1)},
        tmp_path / "kohya.safetensors",
    )
    torch.save({"image_encoder.blocks.0.attn.qkv.lora_A": sizes}, tmp_path / "lora.pth")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 375042383\n"
    for name in ("lfs.pth", "lfs.safetensors"):
        (tmp_path / name).write_text(pointer)
    for name in ("page.pth", "page.safetensors"):
        (tmp_path / name).write_text("\n<!DOCTYPE html><html>404</html>")
    (tmp_path / "empty.pth").touch()
    (tmp_path / "refused.pth").write_text('{"error": "not authorised"}')
    (tmp_path / "packed.pth").write_bytes(gzip.compress(b"weights"))
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as packed:
        packed.writestr("models/sam.pth", b"weights")
    (tmp_path / "keras.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    torch.save({"image_encoder.trunk.x": torch.zeros(1)}, tmp_path / "sam2.pt")
    state = vanilla().state_dict()
    state[_key(state)][0, 0] = float("nan")
    torch.save(state, tmp_path / "nan.pth")
    for name, message in (
        ("diffusers.safetensors", "is a LoRA"),
        ("kohya.safetensors", "is a LoRA"),
        ("lora.pth", "is a LoRA"),
        ("lfs.pth", "is a Git-LFS pointer"),
        ("lfs.safetensors", "is a Git-LFS pointer"),
        ("page.pth", "is a web page"),
        ("page.safetensors", "is a web page"),
        ("empty.pth", "is empty"),
        ("refused.pth", "is a text"),
        ("packed.pth", "is an archive"),
        ("all.zip", "is an archive"),
        ("keras.h5", "is an HDF5 file"),
        ("sam2.pt", "is a SAM 2"),
        ("nan.pth", "NaN"),
    ):
        error = command("models", "add", tmp_path / name, status=2)["error"]
        assert message in error and name in error
    assert not [m for m in command("models", "list")["models"] if m["origin"] == "user"]


def test_a_model_that_learned_to_do_without_prompts_proposes(
    checkpoint: Path, sample_project: Project, tmp_path: Path
) -> None:
    segmenter = load_segmenter(add_sam(checkpoint))
    segmenter.sam.prompt_encoder.add_auto_tokens(2)
    folder = sample_project.path / "models" / "tuned"
    segmenter.save(folder, segmenter.card)
    sample_project.models.add("tuned", "segmenter", "models/tuned")
    run_job(ProposeRequest(sample_project.path, "tuned"))
    result = run_job(EvaluateRequest(sample_project.path, "tuned"))
    assert result.n > 0
    assert export_sam(find_model("segmenter", "tuned", sample_project), tmp_path / "out.pth")
    vanilla().load_state_dict(torch.load(tmp_path / "out.pth"))


def _tuned(project: Project, name: str, *subjects: str) -> FoundModel:
    """A SAM of the project that learnt from these subjects of the cohort ``theirs``."""
    folder = project.path / "models" / name
    card = ModelCard(
        name=name,
        kind="segmenter",
        architecture={"type": "sam", "variant": "custom"},
        preprocessing={"profile": "medsam", "side": 64},
        licence="none",
        training_data={"cohorts": ["theirs"]},
    )
    Segmenter(vanilla(), card).save(folder, card)
    write_seen_subjects(folder, map(hashed_subject, subjects))
    project.models.add(name, "segmenter", f"models/{name}")
    return find_model("segmenter", name, project)


def test_an_exported_sam_knows_what_it_saw_when_it_is_added_again(
    sample_project: Project, tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    subjects = sorted({frame.subject for frame in labelled_frames(sample_project)})
    _tuned(sample_project, "tuned", *subjects[:2])
    out = tmp_path / "medsam_tuned.pth"
    command("models", "export", "tuned", out, "--project", sample_project.path)
    # How frames are prepared is in the card, so that it need not be said.
    assert main(["models", "add", str(out), "--name", "back"]) == 0
    said = capsys.readouterr()
    assert "names 2 subjects that it saw" in said.out + said.err
    assert "not known" not in said.out + said.err
    back = find_model("segmenter", "back")
    assert isinstance(load_segmenter(back).profile, MedSamProfile)
    result = run_job(EvaluateRequest(sample_project.path, "back", prompt="box", held_out=True))
    assert not {frame.subject for frame in result.frames} & set(subjects[:2])
    assert result.subjects == len(subjects) - 2 and not result.not_known
    assert cohorts_learnt(sample_project, "back") == {"theirs"}


def test_what_an_added_checkpoint_saw_is_not_known_unless_it_is_an_original(
    checkpoint: Path, sample_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    add_sam(checkpoint, "unknown", warn=said.append)
    (unknown,) = said
    assert unknown.startswith("What sam_tiny.pth learnt from is not known.")
    assert "sam_tiny.pth.json" in unknown
    result = run_job(EvaluateRequest(sample_project.path, "unknown", prompt="box", held_out=True))
    assert unknown.startswith(result.not_known[0]) and len(result.not_known) == 1
    data = select_training_data(sample_project, None, real=4, synthetic=0, segmenter="unknown")
    assert result.not_known[0] in data.warnings and data.advice is not None
    assert "not tried with SAM's own weights" in data.advice.headline
    monkeypatch.setattr(sam_models, "_ORIGINALS", {sha256_of(checkpoint)})
    add_sam(checkpoint, "original", warn=said.append)
    assert len(said) == 1 and not not_known(find_model("segmenter", "original"))
    # An exported one stays an original one, and what was not known stays so.
    for name in ("original", "unknown"):
        out = checkpoint.with_name(f"{name}.pth")
        assert export_sam(find_model("segmenter", name), out) == []
        again = add_sam(out, f"{name}-again", warn=said.append)
        assert len(said) == 1 and bool(not_known(again)) == (name == "unknown")


def test_a_card_beside_another_checkpoint_does_not_say_all(
    sample_project: Project, tmp_path: Path
) -> None:
    out, said = tmp_path / "out.pth", list[str]()
    export_sam(_tuned(sample_project, "tuned", "a"), out, project=sample_project)
    write_checkpoint(vanilla(seed=1).state_dict(), out)
    added = add_sam(out, "changed", warn=said.append)
    assert "out.pth was changed since out.pth.json was written" in said.pop()
    assert seen_by(None, added).knows_subject("a") and not_known(added)
    for text in ("[]", "{", '{"name": "x"}', '{"seen": {"subjects": ["Anna"], "frames": []}}'):
        out.with_name("out.pth.json").write_text(text)
        assert not_known(add_sam(out, warn=said.append))
        assert "does not say what the model saw" in said.pop()
        shutil.rmtree(find_model("segmenter", "out").folder)


def test_names_of_patients_do_not_leave_as_hashes(sample_project: Project, tmp_path: Path) -> None:
    frame = labelled_frames(sample_project)[0]
    model = _tuned(sample_project, "tuned", "Anna", "1234567", frame.subject)
    out, said = tmp_path / "out.pth", list[str]()
    assert export_sam(model, out, project=sample_project) == []  # all of its subjects are keys
    pixels = sample_project.frames.pixels(frame.id)[::-1]
    sample_project.frames.add(pixels, name="f", cohort="c", subject="Anna")
    (left_out,) = export_sam(model, out, project=sample_project)
    assert left_out.startswith("2 subjects that tuned saw cannot be told")
    seen = json.loads((tmp_path / "out.pth.json").read_text())["seen"]
    assert seen["subjects"] == [hashed_subject(frame.subject)]
    add_sam(out, warn=said.append)
    assert "does not name all subjects" in said[0]


def test_shown_the_box_of_a_proposal_it_replaces_that(
    checkpoint: Path, sample_project: Project
) -> None:
    add_sam(checkpoint, "mine")
    request = ProposeRequest(sample_project.path, "mine", prompt="box")
    assert run_job(request).proposals == ()  # no frame has a box to show
    first = run_job(ProposeRequest(sample_project.path)).proposals
    then = run_job(request)
    refined = [p.frame_id for p in then.proposals]
    assert len(refined) + len(then.without) == len(first) > 0
    assert set(refined) <= {p.frame_id for p in first}
    for frame_id in refined:
        held = sample_project.annotations.newest(frame_id)
        assert held is not None and (held.author, held.state) == ("segmenter:mine", "proposed")
    drawn = next(
        f.id for f in sample_project.frames.all() if f.id not in {p.frame_id for p in first}
    )
    before = sample_project.annotations.newest(drawn)
    run_job(replace(request, frame_ids=(drawn,)))
    assert sample_project.annotations.newest(drawn) == before


def test_a_sam_that_needs_a_box_proposes_with_the_boxes_of_the_built_in_segmenter(
    checkpoint: Path, sample_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_sam(checkpoint, "mine")
    first = {
        p.frame_id: p.ellipse.box()
        for p in run_job(ProposeRequest(sample_project.path, convention=False)).proposals
    }
    for frame_id in first:
        sample_project.annotations.add(frame_id, None, author="a person", state="draft")
    shown: list[tuple[float, ...]] = []
    predict = Segmenter.predict

    def noted(self: Segmenter, image: Any, **prompts: Any) -> Prediction:
        if self.needs_prompt:
            shown.append(prompts["box"])
        return predict(self, image, **prompts)

    monkeypatch.setattr(Segmenter, "predict", noted)
    request = ProposeRequest(sample_project.path, "mine", frame_ids=tuple(first), convention=False)
    result = run_job(request)
    assert len(result.proposals) + len(result.without) == len(first) > 0
    assert shown == list(first.values())


def test_a_training_of_a_sam_measures_before_and_after_with_the_same_prompt(
    checkpoint: Path, sample_project: Project, command: Command
) -> None:
    add_sam(checkpoint, "mine")
    few = ["--real", "4", "--synthetic", "0", "--epochs", "1", "--copies", "1"]
    train = ["train", sample_project.path, "--segmenter", "mine", *few]
    before = run_job(EvaluateRequest(sample_project.path, "mine", prompt="box"))
    boxed = command(*train)
    test = {item for run in sample_project.runs.all() for item in run.data["test"]}
    measured = [frame.dice for frame in before.frames if frame.frame_id in test]
    assert boxed["prompt"] == "box"
    assert boxed["dice_before"] == pytest.approx(sum(measured) / len(measured))
    asked = command(*train, "--prompt", "auto")
    assert asked["prompt"] == "auto" and asked["dice_before"] != boxed["dice_before"]
    refused = command(*train, "--prompt", "auto", "--preset", "paper", status=2)
    assert "mine needs a box as a prompt" in refused["error"]
