"""The formats that frames and pairs are exported in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from fetalstudio.formats.annotations.coco import CocoWriter
from fetalstudio.formats.annotations.cvat import CvatWriter
from fetalstudio.formats.annotations.label_studio import LabelStudioWriter
from fetalstudio.formats.annotations.labelme import LabelmeWriter
from fetalstudio.formats.annotations.via import ViaWriter
from fetalstudio.formats.annotations.voc import VocWriter
from fetalstudio.formats.annotations.yolo import YoloWriter
from fetalstudio.formats.datasets.hc18 import Hc18SubmissionWriter, Hc18Writer
from fetalstudio.formats.datasets.huggingface import ImageFolderWriter
from fetalstudio.formats.datasets.nnunet import NnUnetNiftiWriter, NnUnetWriter
from fetalstudio.formats.datasets.parquet import ParquetWriter
from fetalstudio.formats.datasets.psfhs import PsfhsWriter
from fetalstudio.formats.writing.carries import Carries
from fetalstudio.formats.writing.exported_frames import ExportedFrame, ExportedPair
from fetalstudio.formats.writing.png_pairs import PaperWriter, PngPairsWriter
from fetalstudio.formats.writing.volume_pairs import VolumePairsWriter


class DatasetWriter(Protocol):
    """Writes frames and pairs into a folder, and at last what holds them together."""

    @property
    def problems(self) -> Sequence[str]:
        """What the format cannot hold and was left out, a message each."""

    def add_frame(self, frame: ExportedFrame) -> None:
        """Write a real frame.

        Raises :class:`~fetalstudio.core.errors.UserError` where it cannot be written.
        """

    def add_pair(self, pair: ExportedPair) -> None:
        """Write a synthetic frame, with a note of how it was made. Raises as :meth:`add_frame`."""

    def finish(self) -> None:
        """Write the tables and whatever else describes the whole. Raises as :meth:`add_frame`."""


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """How frames can be written into a folder."""

    title: str
    """For people, as in "HC18 challenge"."""
    writer: Callable[[Path], DatasetWriter]
    """Makes the writer for a folder that is new and empty."""
    carries: Carries
    """What of a frame it can hold."""
    pairs: bool = True
    """Whether it can hold synthetic frames."""

    @property
    def lost(self) -> str:
        """What this format changes or leaves out, in sentences; empty where that is nothing."""
        said = self.carries.lost(self.title)
        return said if self.pairs else f"{said} Synthetic frames are left out.".lstrip()


def _dicom_writer(folder: Path) -> DatasetWriter:
    from fetalstudio.formats.dicom.export import DicomWriter  # pydicom takes 0.2 s

    return DicomWriter(folder)


_BESIDE = Carries(
    calibration="beside", subject="beside", part="beside", labels="beside", provenance="beside"
)
"""What :class:`~fetalstudio.formats.writing.export_folders.PictureFolderWriter` writes for each
format."""
_VOLUMES = replace(_BESIDE, ellipse=("mask",), calibration="yes")
_HUGGING_FACE = replace(
    _BESIDE, ellipse=("exact", "mask"), calibration="yes", subject="yes", part="yes"
)

EXPORTS: Mapping[str, ExportFormat] = {
    "hc18": ExportFormat(
        "HC18 challenge",
        Hc18Writer,
        replace(_BESIDE, ellipse=("ring",), calibration="yes"),
    ),
    "hc18-submission": ExportFormat(
        "HC18 submission",
        Hc18SubmissionWriter,
        replace(_BESIDE, ellipse=("exact",), calibration="yes"),
        pairs=False,
    ),
    "png": ExportFormat(
        "PNG with masks", PngPairsWriter, replace(_BESIDE, ellipse=("exact", "mask"), part="yes")
    ),
    "paper": ExportFormat(
        "Paper (arXiv 2506.23664)", PaperWriter, replace(_BESIDE, ellipse=("mask",), part="yes")
    ),
    "nnunet": ExportFormat(
        "nnU-Net", NnUnetWriter, replace(_BESIDE, ellipse=("mask",), part="yes")
    ),
    "nnunet-nifti": ExportFormat(
        "nnU-Net, NIfTI",
        NnUnetNiftiWriter,
        replace(_BESIDE, ellipse=("mask",), calibration="yes", part="yes"),
    ),
    "huggingface": ExportFormat("Hugging Face image folder", ImageFolderWriter, _HUGGING_FACE),
    "parquet": ExportFormat("Hugging Face Parquet", ParquetWriter, _HUGGING_FACE),
    "psfhs": ExportFormat("PSFHS", PsfhsWriter, _VOLUMES),
    **{
        name: ExportFormat(title, partial(VolumePairsWriter, suffix=suffix), _VOLUMES)
        for name, title, suffix in (
            ("metaimage", "MetaImage with masks", ".mha"),
            ("nrrd", "NRRD with masks", ".nrrd"),
            ("nifti", "NIfTI with masks", ".nii.gz"),
        )
    },
    "dicom": ExportFormat(
        "DICOM (Secondary Capture and SEG)",
        _dicom_writer,
        replace(_BESIDE, ellipse=("mask",), calibration="yes", subject="yes", provenance="yes"),
    ),
    "coco": ExportFormat("COCO", CocoWriter, replace(_BESIDE, ellipse=("polygon",), part="yes")),
    "yolo": ExportFormat("YOLO", YoloWriter, replace(_BESIDE, ellipse=("polygon",), part="yes")),
    "labelme": ExportFormat("labelme", LabelmeWriter, replace(_BESIDE, ellipse=("polygon",))),
    "cvat": ExportFormat(
        "CVAT for images", CvatWriter, replace(_BESIDE, ellipse=("exact",), part="yes")
    ),
    "voc": ExportFormat("Pascal VOC", VocWriter, replace(_BESIDE, ellipse=("mask",), part="yes")),
    "labelstudio": ExportFormat(
        "Label Studio", LabelStudioWriter, replace(_BESIDE, ellipse=("exact",), part="yes")
    ),
    "via": ExportFormat("VGG Image Annotator", ViaWriter, replace(_BESIDE, ellipse=("exact",))),
}
"""By name. A new format joins by an entry here."""
