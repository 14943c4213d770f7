"""One DICOM file: its listed header values, and its frames as 8-bit grey."""

from __future__ import annotations

import contextlib
import datetime
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.errors import InputError
from fetalstudio.formats.dicom.dataset import (
    DIRECTORY,
    NOTE,
    NOTE_CREATOR,
    NOTE_GROUP,
    Opener,
    check_pixels,
    frame_count,
    opened,
)
from fetalstudio.formats.dicom.pixels import as_grey, decoded, held_frames
from fetalstudio.formats.dicom.regions import calibration_of, screen_of
from fetalstudio.formats.dicom.segmentations import Segmentation, segmentation_of
from fetalstudio.formats.privacy.redaction import Screen
from fetalstudio.formats.reading.frame_records import StatedSize
from fetalstudio.formats.tables.frame_rows import no_subject

_LONGEST_PREGNANCY = 310


@dataclass(frozen=True, slots=True)
class Header:
    """What is taken from a file besides its pixels."""

    frames: int
    """That can be read."""
    modality: str
    """A code such as ``US``; empty where the file states none."""
    patient: str
    """What stands for the patient: the patient's ID, or else, as where that says that she is
    anonymous, the study's UID. Never stored."""
    date: datetime.date | None
    """Of the acquisition. Never stored."""
    gestational_age: int | None
    """In days, from the last menstrual period to the acquisition."""
    calibration: Calibration | None
    stated: tuple[StatedSize, ...] = ()
    """The pixel sizes that the file states, where they disagree; there is then no calibration."""
    screen: Screen | None = None
    """The layout of the scanner's screen; None for a DICOMDIR."""
    members: tuple[str, ...] = ()
    """Of a DICOMDIR: the files that it lists, as relative paths."""
    directory: bool = False
    """Whether the file is a DICOMDIR."""
    uid: str = ""
    """Of the instance, to find its segmentation. Never stored."""
    note: str | None = None
    """What a file that we wrote says that it is, as in a PNG file."""
    segmentation: Segmentation | None = None
    """What the file says about others, where it is a segmentation."""
    counts: tuple[int, int] | None = None
    """How many frames the file states, and how many its pixels hold, where these differ."""


def read_header(path: Path, open_file: Opener) -> Header:
    """Read the listed values of a file; its pixels are counted and not decoded.

    ``path`` names it in messages. Raises :class:`InputError` for a file that is no DICOM image, is
    damaged or whose frames are of a size that none may have.
    """
    with opened(path, open_file) as (dataset, body):
        if dataset.file_meta.get("MediaStorageSOPClassUID") == DIRECTORY:
            return Header(0, "", "", None, None, None, members=_listed(dataset), directory=True)
        if "Rows" not in dataset or "Columns" not in dataset:
            raise InputError(
                f"{path} is a DICOM file without a picture, or truncated. It was left out. Export "
                "it again if it should show one."
            )
        check_pixels(path, dataset)
        calibration, sizes = calibration_of(dataset)
        date = _date(dataset, "AcquisitionDate", "ContentDate", "StudyDate")
        stated = frame_count(dataset)
        held = held_frames(dataset, body) or stated
        return Header(
            frames=min(stated, held),
            modality=str(dataset.get("Modality") or "").strip(),
            patient=_patient(dataset),
            date=date,
            gestational_age=_gestational_age(dataset, date),
            calibration=calibration,
            stated=sizes,
            screen=screen_of(dataset),
            uid=str(dataset.get("SOPInstanceUID") or ""),
            note=_note(dataset),
            segmentation=segmentation_of(dataset) if "SegmentSequence" in dataset else None,
            counts=None if held == stated else (stated, held),
        )


def read_frame(path: Path, open_file: Opener, index: int = 0) -> NDArray[np.uint8]:
    """One frame of a file as (H, W) grey: colours reduced to luminance, windows applied.

    Raises :class:`InputError` as :func:`read_header`, and for a frame that is missing, truncated or
    encoded in a way that is not read.
    """
    with opened(path, open_file) as (dataset, body):
        check_pixels(path, dataset)
        return as_grey(dataset, decoded(dataset, body, index))


def _listed(dataset: Dataset) -> tuple[str, ...]:
    """The files of a DICOMDIR; one that would lead out of its folder is dropped."""
    found = []
    for record in dataset.get("DirectoryRecordSequence") or ():
        parts = record.get("ReferencedFileID") or ()
        parts = [parts] if isinstance(parts, str) else [str(part) for part in parts]
        if parts and all(re.fullmatch(r"[A-Z0-9_]{1,8}", part) for part in parts):
            found.append("/".join(parts))
    return tuple(found)


def _patient(dataset: Dataset) -> str:
    patient, study = (str(dataset.get(k) or "").strip() for k in ("PatientID", "StudyInstanceUID"))
    return study if no_subject(patient) else patient


def _date(dataset: Dataset, *keywords: str) -> datetime.date | None:
    """The first of these dates that is stated and is one."""
    for keyword in keywords:
        text = str(dataset.get(keyword) or "").replace(".", "").strip()
        with contextlib.suppress(ValueError):
            return datetime.datetime.strptime(text, "%Y%m%d").date()
    return None


def _gestational_age(dataset: Dataset, date: datetime.date | None) -> int | None:
    last = _date(dataset, "LastMenstrualDate")
    if last is None or date is None or not 0 < (date - last).days <= _LONGEST_PREGNANCY:
        return None
    return (date - last).days


def _note(dataset: Dataset) -> str | None:
    """The note of a file that we wrote."""
    if dataset.get((NOTE_GROUP, 0x10)) is None or dataset.get(NOTE) is None:
        return None
    ours = str(dataset[NOTE_GROUP, 0x10].value).strip() == NOTE_CREATOR
    value = dataset[NOTE].value
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text.rstrip(" \0") if ours else None
