"""How fast DICOM is imported, in how much memory, and how a cancelled import goes on.

Makes small instances in mixed syntaxes, as a scanner shows them, and imports them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    UltrasoundImageStorage,
    generate_uid,
)

from fetalstudio.core.progress import Stopped
from fetalstudio.formats.pictures.picture_files import read_image
from fetalstudio.project.importing.importers import import_frames
from fetalstudio.project.project import Project
from fetalstudio.resources import samples_dir

SIZE = (640, 480)
_PER_PATIENT = 8
_ENCODED: Sequence[tuple[UID, Callable[[NDArray[Any]], bytes] | None]] = (
    (ExplicitVRLittleEndian, None),
    (JPEGBaseline8Bit, lambda grey: bytes(imagecodecs.jpeg8_encode(grey, 92))),
    (JPEGLSLossless, lambda grey: bytes(imagecodecs.jpegls_encode(grey))),
    (JPEGLosslessSV1, lambda grey: bytes(imagecodecs.jpeg8_encode(grey, lossless=True,
                                                                  predictor=1))),
    (JPEG2000Lossless, lambda grey: bytes(imagecodecs.jpeg2k_encode(
        grey, 0, codecformat="j2k", reversible=True, mct=False))),
)  # fmt: skip
"""Each syntax, and how it encodes a frame."""


def make_instances(folder: Path, count: int) -> None:
    """Write single frames of 640x480 px with a line of text in the header bar, and in every third
    one a figure beside a caliper in the sector."""
    tissues = [read_image(path) for path in sorted(samples_dir().rglob("*_HC.png"))]
    fan = np.zeros(SIZE[::-1], np.uint8)
    cv2.ellipse(fan, (SIZE[0] // 2, -60), (500, 500), 90, -36, 36, 1, cv2.FILLED)
    cv2.ellipse(fan, (SIZE[0] // 2, -60), (120, 120), 90, -60, 60, 0, cv2.FILLED)
    for number in range(count):
        rng = np.random.default_rng(number)
        tissue = cv2.resize(tissues[number % len(tissues)], SIZE)
        noisy = tissue.astype(np.int16) + rng.integers(-3, 4, tissue.shape, dtype=np.int16)
        grey = np.clip(noisy, 2, 190).astype(np.uint8) * fan
        _text(grey, f"DOE^JANE {number:05d}", (6, 16))
        if number % 3 == 0:
            at = int(rng.integers(230, 330)), int(rng.integers(200, 330))
            _text(grey, f"D1 {rng.uniform(2, 9):.1f} cm", at)
        syntax, encode = _ENCODED[number % len(_ENCODED)]
        data = grey.tobytes() if encode is None else encapsulate([encode(grey)])
        path = folder / f"{number // 1000:03d}" / f"IM{number:05d}"
        path.parent.mkdir(parents=True, exist_ok=True)
        _save(path, syntax, data, f"PATIENT-{number // _PER_PATIENT}")


def _text(grey: NDArray[np.uint8], text: str, at: tuple[int, int]) -> None:
    cv2.putText(grey, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 235, 1, cv2.LINE_AA)


def _save(path: Path, syntax: UID, data: bytes, patient: str) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UltrasoundImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = syntax
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = UltrasoundImageStorage, meta.MediaStorageSOPInstanceUID
    made.Modality, made.PatientID, made.StudyInstanceUID = "US", patient, generate_uid()
    made.Manufacturer = "A scanner"
    made.Rows, made.Columns = SIZE[::-1]
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated = made.BitsStored = 8
    made.HighBit, made.PixelRepresentation = 7, 0
    made.PixelData = data + b"\0" * (len(data) % 2)
    made["PixelData"].VR = "OB"
    FileDataset(str(path), made, b"\0" * 128, meta).save_as(path, enforce_file_format=True)


class _Half:
    """Progress that stops the work half-way through the pictures; the headers are read before."""

    def __init__(self) -> None:
        self._headers_read = self._begun = False

    def advance(self, done: int, total: int, note: str = "") -> None:
        """Raise :class:`Stopped` from the middle of the second pass on."""
        self._headers_read |= self._begun and done == 0
        self._begun = True
        if self._headers_read and done > total // 2:
            raise Stopped

    def check(self) -> None:
        """Nothing to do between the steps."""


def measure(source: Path, folder: Path) -> Iterator[tuple[str, dict[str, float]]]:
    """Import all, import all again, cancel an import half-way and go on with it; give the figures
    of each."""
    with Project.create(folder / "project") as project:
        for name in ("import", "again"):
            yield name, _timed(project, source)
    with Project.create(folder / "cancelled") as project:
        try:
            import_frames(project, source, progress=_Half())
        except Stopped:
            (left,) = project.imports.unfinished()
            yield "cancelled", {"frames": len(project.frames.all()), "read": left.pictures}
        yield "gone on", _timed(project, source)


def _timed(project: Project, source: Path) -> dict[str, float]:
    """Import a source, and give the figures."""
    wall, used = time.perf_counter(), time.process_time()
    report = import_frames(project, source)
    wall, used = time.perf_counter() - wall, time.process_time() - used
    count = report.frames + report.duplicates
    return {
        "frames": report.frames,
        "resumed": report.resumed,
        "per_s": count / wall,
        "cpu_ms_each": 1000 * used / count,
        **_peak(),
    }


def _peak() -> dict[str, float]:
    """The most memory of the process so far; nothing on Windows, which does not say it so."""
    try:
        import resource
    except ImportError:
        return {}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"peak_mib": peak / (1024**2 if sys.platform == "darwin" else 1024)}


def main() -> None:
    """Make the instances and print the figures, a line for each step."""
    parser = argparse.ArgumentParser(prog="python -m fetalstudio.studies.many_instances")
    parser.add_argument("--instances", type=int, default=1000, metavar="N")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        # Settings, and the secret from which patients' keys are made, are those of the study.
        os.environ["FETALSTUDIO_HOME"] = str(Path(folder, "home"))
        source = Path(folder, "source")
        make_instances(source, options.instances)
        for name, figures in measure(source, Path(folder)):
            print(name, json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
