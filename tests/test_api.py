"""The functions that the package exports."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fetalstudio as fs
from fetalstudio import api
from fetalstudio.core.convention import Convention, Offset
from fetalstudio.core.metrics import Interval
from fetalstudio.core.progress import Stopped
from fetalstudio.engine.jobs.pair_convention.request import PairConventionResult
from fetalstudio.engine.process.events import Progress, Warned

HEAD = fs.Ellipse(200, 135, 115, 88, 8)


def test_importing_and_looking_round_loads_no_torch() -> None:
    code = """
import sys
import fetalstudio as fs
assert not [m for m in sys.modules if m.startswith("fetalstudio.") and m != "fetalstudio.version"]
assert set(fs.__all__) <= set(dir(fs))
from fetalstudio import *
calibration = Calibration(0.1, 0.1, "manual")
assert measure(Ellipse(10, 10, 5, 4, 0), calibration).ofd_mm == 1
assert callable(load_segmenter) and callable(train)
loaded = {"torch", "PySide6", "diffusers", "fetalstudio.studies"} & set(sys.modules)
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_is_documented_and_no_other_is_found() -> None:
    for name in fs.__all__:
        assert getattr(fs, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'Projekt'"):
        fs.Projekt  # noqa: B018


def test_a_segmenter_is_called_with_an_image(sample_project: fs.Project) -> None:
    segmenter = fs.load_segmenter("compact")
    image = sample_project.frames.pixels(sample_project.frames.all()[0].id)
    found = segmenter(image)
    assert found.mask.shape == image.shape and found.ellipse is not None
    x, y = found.ellipse.cx, found.ellipse.cy
    boxed = segmenter(image, box=(x - 300, y - 300, x + 300, y + 300))
    assert boxed.ellipse is not None
    with pytest.raises(fs.InputError, match=r"\(8, 8, 3\) and the type uint8"):
        segmenter(np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(fs.InputError, match="float64"):
        segmenter(np.zeros((8, 8)))  # type: ignore[arg-type]
    with pytest.raises(
        fs.InputError, match=r"no segmenter called 'other'\. Choose one of these: compact"
    ):
        fs.load_segmenter("other")


def test_a_synthesizer_is_called_with_an_ellipse_and_repeats_itself_by_seed() -> None:
    synthesizer = fs.load_synthesizer()
    assert synthesizer.name == "compact"
    heard: list[Progress] = []
    made = synthesizer(HEAD, size=(400, 270), seed=3, steps=2, progress=heard.append)
    again = synthesizer(HEAD, size=(400, 270), seed=3, steps=2)
    other = synthesizer(HEAD, size=(400, 270), seed=4, steps=2)
    assert made.image.shape == (270, 400) and made.ellipse == HEAD and "dice" in made.quality
    assert (made.image == again.image).all() and (made.image != other.image).any()
    assert (heard[-1].done, heard[-1].total) == (2, 2)
    with pytest.raises(fs.InputError, match="without a project, so there is no cohort 'Bern'"):
        synthesizer(HEAD, size=(400, 270), cohort="Bern")
    with pytest.raises(fs.InputError, match="off the 400x270 px"):
        synthesizer(fs.Ellipse(4000, 10, 8, 4, 0), size=(400, 270))


def test_a_synthesizer_of_a_project_draws_as_a_cohort_is_drawn(
    sample_project: fs.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside, nowhere = Interval(0.04, 0.03, 0.05, 9), Interval(0.0, 0.0, 0.0, 9)
    wider = Convention(outside, outside, outside, nowhere, nowhere, 9, "judge")
    requests: list[Any] = []

    def run(request: Any, _on_event: Callable[..., None]) -> Any:
        requests.append(request)
        return PairConventionResult(wider if request.cohort == "wide" else None)

    monkeypatch.setattr(api, "run_job", run)
    synthesizer = api.Synthesizer("compact", sample_project.path)
    for cohort in (None, "wide", "other"):
        synthesizer(HEAD, size=(400, 270), cohort=cohort)
    made = [request for request in requests if request.job.name == "sample"]
    assert [r.cohort for r in made] == [None, "wide", "other"]
    assert [r.convention for r in made] == [Offset(), wider.offset, Offset()]
    assert len(requests) == 5  # nothing is measured without a cohort


def test_models_and_their_names_mean_the_same(
    sample_project: fs.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[Any] = []

    def run(request: Any, _on_event: Callable[..., None]) -> None:
        requests.append(request)

    monkeypatch.setattr(api, "run_job", run)
    segmenter = api.Segmenter("mine", None)  # type: ignore[arg-type]  # not called here
    for model in (segmenter, "mine"):
        fs.evaluate(sample_project, model, cohort="c", held_out=True)
        fs.train(sample_project, model, real=3, synthetic=0, epochs=4, seed=5, name="new")
    for maker in (api.Synthesizer("mine", None), "mine"):
        fs.synthesize(sample_project, maker, count=2, steps=3, seed=4)
    jobs = [request.job.name for request in requests]
    assert jobs == ["evaluate", "train", "evaluate", "train", "synthesize", "synthesize"]
    assert requests[0] == requests[2] and requests[1] == requests[3]
    assert requests[4] == requests[5] and requests[4].synthesizer == "mine"
    assert (requests[0].segmenter, requests[1].real, requests[1].name) == ("mine", 3, "new")


def test_a_training_takes_all_its_settings(
    sample_project: fs.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[Any] = []
    monkeypatch.setattr(api, "run_job", lambda request, _on_event: requests.append(request))
    chosen = fs.TrainingSettings(epochs=7, learning_rate=1e-5, lora=4, seed=3)
    fs.train(sample_project)
    fs.train(sample_project, settings=chosen)
    fs.train(sample_project, settings=chosen, epochs=2, seed=0)
    assert [request.settings for request in requests] == [
        fs.TrainingSettings(),
        chosen,
        fs.TrainingSettings(epochs=2, learning_rate=1e-5, lora=4, seed=0),
    ]


def test_settings_out_of_their_bounds_are_refused(sample_project: fs.Project) -> None:
    with pytest.raises(fs.InputError, match="learning_rate is 5"):
        fs.train(sample_project, settings=fs.TrainingSettings(learning_rate=5))


@pytest.mark.parametrize("size", [(0, 300), (300, 31), (300, 8193), (30000, 30000)])
def test_no_image_has_a_size_that_no_frame_may_have(size: tuple[int, int]) -> None:
    """Without this the largest would fill the memory, and the empty one fail inside OpenCV."""
    named = f"{size[0]}x{size[1]} px; a frame has 32 to 8192 px a side"
    with pytest.raises(fs.InputError, match=named):
        fs.load_synthesizer()(HEAD, size=size, steps=1)
    image = np.broadcast_to(np.zeros((), np.uint8), size[::-1])
    with pytest.raises(fs.InputError, match=named):
        fs.load_segmenter()(image)


def test_prompts_that_are_none_are_refused() -> None:
    segmenter, image = fs.load_segmenter(), np.zeros((270, 400), np.uint8)
    nan = float("nan")
    boxes: Any = [(1, 2, 3), (200, 200, 100, 100), (10, 10, 10, 90), (nan, 0, 9, 9), ()]
    for box in boxes:
        with pytest.raises(fs.InputError, match="x0 < x1 and y0 < y1"):
            segmenter(image, box=box)
    several: Any = [[], [(1, 2, 3)], [(1, nan)], [(1, 2), (3,)]]
    for points in several:
        with pytest.raises(fs.InputError, match="at least one"):
            segmenter(image, points=points)


def test_a_project_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    project = fs.Project.create(str(tmp_path / "p"))
    with ThreadPoolExecutor() as pool, pytest.raises(fs.UserError, match="in another thread"):
        pool.submit(project.frames.all).result()
    assert project.frames.all() == []
    project.close()
    for use in (project.frames.all, project.counts, project.pairs.all, project.runs.all):
        with pytest.raises(fs.UserError, match=r"was closed\. Open the project again"):
            use()
    with pytest.raises(fs.UserError, match="was closed"), project, project.transaction():
        pass
    with fs.Project.open(str(tmp_path / "p")) as again:
        assert again.frames.all() == []


@pytest.mark.slow
def test_a_script_of_the_public_names_is_typed(tmp_path: Path) -> None:
    """``py.typed`` promises it; the README's lines are among them."""
    readme = Path(__file__).parents[1] / "README.md"
    lines = readme.read_text().split("```python")[1].split("```")[0]
    script = tmp_path / "script.py"
    script.write_text(
        lines
        + """
def best(
    project: fs.Project, segmenter: fs.Segmenter, synthesizer: fs.Synthesizer
) -> fs.Ellipse | None:
    settings = fs.TrainingSettings(learning_rate=1e-5)
    fs.train(project, segmenter, settings=settings).model
    image = synthesizer(fs.Ellipse(1, 1, 1, 1, 0), size=(99, 99)).image
    return segmenter(image).ellipse
"""
    )
    # Checking these libraries takes mypy longer than all the rest, and no public name has their
    # types. With other settings than those of the project's check, the cache is another one too.
    settings = tmp_path / "mypy.ini"
    settings.write_text(
        "[mypy]\nstrict = true\nfollow_imports = silent\ncache_dir = .mypy_cache/public-names\n"
        "[mypy-torch.*,diffusers.*,segment_anything.*,cv2.*,PIL.*,SimpleITK.*,pydicom.*,"
        "imagecodecs.*,cryptography.*,filelock.*,requests.*,urllib3.*]\nfollow_imports = skip\n"
    )
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", str(settings), str(script)],
        cwd=readme.parent,
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout


def test_warnings_are_pythons_and_a_stop_is_an_interrupt(
    sample_project: fs.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(request: Any, on_event: Callable[..., None]) -> None:
        on_event(Warned("mind this"))
        raise Stopped

    monkeypatch.setattr(api, "run_job", run)
    with pytest.warns(UserWarning, match="mind this"), pytest.raises(KeyboardInterrupt):
        fs.evaluate(sample_project)


def test_a_folder_without_frames_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with fs.Project.create(tmp_path / "p") as project, pytest.raises(fs.InputError):
        fs.import_frames(project, tmp_path / "empty")
