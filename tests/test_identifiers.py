"""Identifiers planted in a source reach no byte that the program writes."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
import zipfile
from pathlib import Path

import pytest
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from fetalstudio.cli.main import main
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.formats.exports import EXPORTS
from fetalstudio.formats.model_card import hashed_subject, seen_subjects, write_seen_subjects
from fetalstudio.formats.privacy.subjects import subject_key
from fetalstudio.formats.writing.croissant import CROISSANT
from fetalstudio.formats.writing.dataset_card import DATA_CARD
from fetalstudio.project.patients import read_secret
from fetalstudio.project.project import Project
from tests.formats.dicom_files import speckle
from tests.formats.dicom_files import write as write_dicom
from tests.named import import_named
from tests.planted import IDENTIFIERS, PATIENTS, found_in

SUBJECTS = "SELECT subject FROM current_frames WHERE kind = 'real'"
FORMER = "North ward"
"""A cohort that got another name; what a person took away is not to be found either."""
PARTS = ("train", "validation", "test")
OLD = Path(__file__).parent / "project" / "data" / "project-0.1.zip"


def planted(samples: Path, target: Path, most: int = 24) -> Path:
    """Sample frames as a clinic might keep them, with identifiers wherever there is room."""
    source = target / "Quaresma 1985-12-31"
    frames = sorted(p for p in samples.glob("*.png") if "Annotation" not in p.name)[:most]
    lines = ["filename,Patient name,MRN,birth date,site,quality,pixel size(mm)"]
    for i, (frame, patient) in enumerate(zip(frames, PATIENTS, strict=False)):
        folder = source / ("90817263" if i % 5 == 0 else "scans")
        folder.mkdir(parents=True, exist_ok=True)
        stem = f"{patient} 1985-12-31" if i % 2 else f"M\u00fcller_77120934_{i}"
        with Image.open(frame) as picture:
            grey = picture.convert("L")
        if i % 3 == 0:
            path = folder / f"{stem}.jpg"
            exif = Image.Exif()
            exif[ExifTags.Base.ImageDescription] = "Meier^Anna 90817263"
            exif[ExifTags.Base.XPComment] = "M\u00fcller 77120934".encode("utf-16-le")
            grey.save(path, quality=97, exif=exif.tobytes())
        else:
            path = folder / f"{stem}.png"
            note = PngInfo()
            note.add_text("Patient", "Quaresma 31.12.1985")
            note.add_itxt("XML:com.adobe.xmp", "<name>Meier</name> M\u00fcller", zip=True)
            note.add_text("Comment", "90817263 19851231", zip=True)
            grey.save(path, pnginfo=note)
        ring = samples / f"{frame.stem}_Annotation.png"
        if ring.exists():
            shutil.copy(ring, path.with_name(f"{stem}_Annotation.png"))
        lines.append(f"{path.name},{patient},90817263,31.12.1985,Quaresma,clear,0.2")
    for folder in (source / "90817263", source / "scans"):
        (folder / "Meier 77120934.csv").write_text("\n".join(lines) + "\n", encoding="latin-1")
    return source


@pytest.mark.slow
def test_the_loop_stores_and_writes_no_identifier(
    samples: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    source = planted(samples, tmp_path, 12)
    assert {said.split(" in ")[0] for said in found_in(tmp_path)} == {*IDENTIFIERS}
    heads = source / "Meier 77120934.csv"
    heads.write_text("name,cx,cy,a,b,angle_deg,width,height\nMeier_Anna,200,150,90,70,0,400,300\n")
    work = tmp_path / "work"
    temporary = work / "temporary"
    temporary.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    project = str(work / "project")
    assert main(["new", project]) == 0
    assert main(["import", project, str(source)]) == 0
    with Project.open(project) as held:
        assert len(held.frames.all()) == 12 and held.frames.cohorts() == ["cohort-1"]
        assert {f.name[:6] for f in held.frames.all()} == {"frame-"}
        first = held.frames.all(annotated=False)[0]
        held.annotations.add(first.id, Ellipse(300, 200, 90, 80, 0), author="me", state="final")
        assert {dict(f.labels).get("quality") for f in held.frames.all()} == {"clear"}
    pairs, second, exported = work / "pairs", work / "named", work / "exported"
    csv, page = work / "scores.csv", work / "report.html"
    tiny = ["--real", "2", "--synthetic", "1", "--epochs", "1"]
    for command in (
        ["import", project, str(source)],  # again: now the frames are known
        ["frames", project, "set-subject", PATIENTS[1], "--name", "frame-00001"],
        ["propose", project],
        ["synthesize", project, "--count", "1", "--steps", "1", "--out", str(pairs)],
        [
            *("synthesize", project, "--ellipses", str(heads)),
            *("--steps", "1", "--out", str(second)),
        ],
        ["review", project, "--accept-above", "0"],
        ["train", project, *tiny],
        ["evaluate", project, "--prompt", "box", "--csv", str(csv), "--report", str(page)],
        ["experiment", project, "--seeds", "1", *tiny],
        ["export", project, str(exported), "--format", "hc18"],
        ["verify", str(exported)],
    ):
        assert main(command) == 0, command
    with Project.open(project) as held:
        held.recover()  # writes a backup, as the window does
        assert len(held.pairs.all()) == 2
        secret = read_secret(held.patients.project_id)
    assert secret is not None
    # Pairs that come back are called after their files.
    back = work / "back"
    assert main(["new", str(back)]) == 0
    assert main(["import", str(back), str(exported)]) == 0
    with Project.open(back) as held:
        assert len(held.pairs.all()) == 2
    for written in (csv, page, *second.glob("pair_00001*"), exported / DATA_CARD):
        assert written.stat().st_size
    assert len(list(second.glob("*.png"))) == 2 and (exported / CROISSANT).exists()
    home = Path(os.environ["FETALSTUDIO_HOME"])
    assert found_in(work, home) == []
    # Nor is a folder of this machine, or the secret, anywhere but in the user's own settings.
    elsewhere = (str(tmp_path), str(Path.home()), secret.hex(), secret.decode("latin-1"))
    assert found_in(work, more=elsewhere) == []
    capfd.readouterr()


@pytest.mark.slow
def test_no_format_exports_an_identifier(
    samples: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Of frames from pictures, from DICOM and from the annotation files of another program."""
    source = planted(samples, tmp_path, 6)
    for number in range(2):
        write_dicom(
            source / "scans" / f"Meier 77120934 {number}.dcm",
            speckle(seed=number),
            PatientName="Meier^Anna",
            PatientID="90817263",
            PatientBirthDate="19851231",
            StudyDate="19851231",
            InstitutionName="Quaresma",
            ManufacturerModelName="Quaresma",
            StudyDescription="Quaresma",
        )
    shapes = {"shape_type": "polygon", "label": "head", "points": [[9, 9], [50, 9], [30, 40]]}
    labelme = {"imagePath": "Meier 77120934 0.dcm", "imageData": None, "shapes": [shapes]}
    (source / "scans" / "Meier 77120934 0.json").write_text(json.dumps(labelme))
    work = tmp_path / "work"
    work.mkdir()
    path = str(work / "project")
    assert main(["new", path]) == 0
    assert main(["import", path, str(source), "--head-label", "head"]) == 0
    with Project.open(path) as project:
        frames = project.frames.all()
        assert len(frames) == 8 and len(project.annotations.by_frame()) > 2
        project.parts.divide(frame.subject for frame in frames)
        pair = project.pairs.add(
            project.frames.pixels(frames[0].id)[::-1].copy(),
            name="pair_00001",
            ellipse=Ellipse(300, 200, 90, 80, 0),
            cohort="synthetic",
            calibration=None,
            quality={"dice": 0.9},
            provenance={"background": "made"},
        )
        project.pairs.review(pair.id, "accepted", reviewer="me")
    for format in EXPORTS:
        assert main(["export", path, str(work / format), "--format", format]) == 0, format
    assert found_in(work, more=(str(tmp_path),)) == []
    capfd.readouterr()


def test_a_shared_project_holds_no_identifier(
    samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A project as former versions stored it, with all that they left in its folder."""
    source = planted(samples, tmp_path)
    with Project.create(tmp_path / "old") as project:
        path = project.path
        import_named(project, source, cohort=FORMER, keep_labels=("site",))
        project.amendments.rename_cohort(FORMER, "Quaresma", author="me")
        frames = project.frames.all()
        for i, frame in enumerate(frames):
            # A former version stored a name that a person entered, and hashed one of a table.
            patient = PATIENTS[i // 2]
            subject = subject_key(patient) if i % 2 else patient
            project.amendments.set_subject([frame.id], subject, author="me")
        project.amendments.rename_cohort("Quaresma", "Meier 77120934", author="me")
        drawn = project.annotations.by_frame()
        run = project.runs.start(
            "Meier-1",
            {"job": "train", "cohort": "Quaresma", "out": "C:\\Users\\Meier\\x"},
            {"train": [frames[0].id]},
        )
        project.runs.update(
            run.id, state="finished", verdict={"verdict": "Meier-1 in /home/Quaresma/a is better"}
        )
        folder = path / "models" / "Meier-1"
        folder.mkdir()
        card = {"name": "Meier-1", "training_data": {"cohorts": ["Meier 77120934", "Quaresma"]}}
        (folder / "model.json").write_text(json.dumps(card))
        (folder / "notes.log").write_text("Meier")
        former = (PATIENTS[0], subject_key(PATIENTS[1]), "023", "Meier")
        write_seen_subjects(folder, map(hashed_subject, former))
        (path / "models" / ".run-9.pt").write_bytes(b"Meier")
        project.models.add("Meier-1", "segmenter", "models/Meier-1", run_id=run.id)
        project.models.adopt("segmenter", "Meier-1")
        project.models.add("Quaresma-2", "segmenter", "models/Quaresma-2")
        project.models.remove("segmenter", "Quaresma-2")
        pair = project.pairs.add(
            project.frames.pixels(frames[0].id)[::-1].copy(),
            name="Meier_Anna",
            ellipse=Ellipse(300, 200, 90, 80, 0),
            cohort="synthetic",
            calibration=None,
            quality={"dice": 0.9},
            provenance={"source_frame": frames[0].id, "cohort": "Quaresma", "out": "/a/Meier/b c"},
        )
        project.recover()
        gone = project.amendments.remove([frames[-1].id], author="me")
        assert gone.id and pair.id
        parts = project.parts.divide(frame.subject for frame in project.frames.all())
    export = path / "exports" / "Meier"
    assert main(["export", str(path), str(export), "--format", "hc18"]) == 0
    (path / "cache").mkdir(exist_ok=True)
    (path / "project.db.version-3").write_bytes(b"Meier")
    before = {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}
    assert found_in(path)
    # The list changes nothing; a copy leaves the project as it is.
    assert main(["shareable", str(path)]) == 0
    said = capsys.readouterr().err
    for part in ("Neutral names", "Keys instead", "The cohort Meier 77120934 is renamed", "site"):
        assert part in said
    assert "exports/" in said and "backups/" in said and "cannot be undone" in said
    copy = tmp_path / "copy"
    options = ["--cohort", "Meier 77120934=clinic"]
    assert main(["shareable", str(path), "--copy", str(copy), *options]) == 0
    left = {p.name for p in before if not p.exists() or p.read_bytes() != before[p]}
    assert not left or all(name.startswith("project.db") for name in left)
    assert main(["shareable", str(path), "--yes", *options]) == 0
    for shared in (copy, path):
        assert found_in(shared, more=(str(tmp_path), FORMER)) == []
        with Project.open(shared) as opened:
            assert opened.check() == []
            held = opened.frames.all()
            assert len(held) == 23 and opened.frames.cohorts() == ["clinic"]
            assert {frame.labels.get("quality") for frame in held} == {"clear"}
            assert len({frame.subject for frame in held}) == 12
            # The patients have the keys that an import of today would give them.
            assert {opened.patients.key(p) for p in PATIENTS[:12]} == {f.subject for f in held}
            # What became one subject is in the training part if a model may have learned from it.
            assert opened.parts.stored() == {
                opened.patients.key(p): min(
                    (parts[one] for one in (p, subject_key(p)) if one in parts), key=PARTS.index
                )
                for p in PATIENTS[:12]
            }
            (model,) = opened.models.all()
            assert model.active and (shared / model.path / "model.json").is_file()
            saw = (*map(opened.patients.key, PATIENTS[:2]), "023")
            assert seen_subjects(shared / model.path) == {*map(hashed_subject, saw)}
            (run,) = opened.runs.all()
            assert run.settings["job"] == "train" and run.data == {"train": [frames[0].id]}
            now = opened.annotations.by_frame()
            kept = {frame_id: drawn[frame_id].ellipse for frame_id in drawn if frame_id in now}
            assert {frame_id: a.ellipse for frame_id, a in now.items()} == kept and len(kept) > 10
            assert len(opened.pairs.all()) == 1
    assert not list(tmp_path.glob(".*"))


def test_a_project_of_a_former_version_is_shared_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "old"
    with zipfile.ZipFile(OLD) as archive:
        archive.extractall(path)
    with Project.open(path) as project:
        renamed = [f.id for f in project.frames.all() if f.name == "068_HC"]
        project.amendments.set_subject(renamed, "Meier", author="me")
    connection = sqlite3.connect(path / "project.db")
    subjects = {row[0] for row in connection.execute(SUBJECTS)}
    connection.close()
    assert {"023", "Meier"} <= subjects
    assert main(["shareable", str(path), "--yes"]) == 0
    with Project.open(path) as project:
        held = {frame.subject for frame in project.frames.all()}
        # Those of HC18 are public numbers.
        assert held == {*subjects - {"Meier"}, project.patients.key("Meier")}
        assert "Meier" not in held and "023" in held
        counts = project.counts()
        assert (counts["final"], counts["draft"], counts["accepted"]) == (10, 1, 2)
        assert {frame.name for frame in project.frames.all()} >= {"023_HC"}  # as in HC18
        (batch,) = project.batches.unfinished()
        assert (batch.wanted, batch.done) == (5, 4)
        frame = project.frames.all()[0]
        project.amendments.set_subject([frame.id], "x", author="me")
        project.amendments.undo(author="me")
    assert [p.name for p in path.glob("project.db*")] == ["project.db"]
    assert not (path / "backups").exists()


def test_a_project_that_is_open_in_a_window_is_not_changed(
    sample_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    with sample_project.lock():
        assert main(["shareable", str(sample_project.path), "--yes"]) == 1
    assert "open in a window" in capsys.readouterr().err
    assert len(sample_project.frames.all()) == 24
    assert main(["shareable", str(sample_project.path), "--cohort", "nowhere=x", "--yes"]) == 2
    assert main(["shareable", str(sample_project.path), "--cohort", "nowhere"]) == 2
    assert sample_project.path.is_dir()
