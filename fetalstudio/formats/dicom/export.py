"""Frames as DICOM Secondary Captures, and their heads as DICOM segmentations of these.

:mod:`~fetalstudio.formats.dicom.source` reads both. The instances have new UIDs and nothing of
those that the frames came from; a synthetic one says in its header that it is.
"""

from __future__ import annotations

import datetime
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.pixels import pack_bits
from pydicom.uid import (
    PYDICOM_IMPLEMENTATION_UID,
    UID,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
    generate_uid,
)

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.splits import Part
from fetalstudio.formats.dicom.dataset import MANUFACTURER, NOTE_CREATOR, NOTE_ELEMENT, NOTE_GROUP
from fetalstudio.formats.files import write_bytes
from fetalstudio.formats.writing.export_folders import PictureFolderWriter, Written
from fetalstudio.version import __version__

IMAGES, SEGMENTATIONS = "images", "segmentations"
_SYNTHETIC_PATIENT = "SYNTHETIC"
_DEIDENTIFIED = (
    ("113100", "Basic Application Confidentiality Profile"),
    ("113101", "Clean Pixel Data Option"),
)
"""Of DICOM PS3.15, with the scheme DCM."""


class DicomWriter(PictureFolderWriter):
    """Writes ``images/NAME.dcm`` and ``segmentations/NAME.dcm``."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._studies: dict[str, UID] = {}
        self._series: dict[tuple[str, str], UID] = {}
        self._numbers: dict[UID, int] = {}
        self._image: Dataset | None = None
        """The newest Secondary Capture."""

    def place(self, stem: str, part: Part | None, *, annotated: bool) -> Path:
        """All in one folder."""
        return Path(IMAGES, f"{stem}.dcm")

    def write(self, picture: Written, pixels: NDArray[np.uint8], note: str) -> None:
        """As a Secondary Capture, with its note in a private tag."""
        made = self._instance(picture, SecondaryCaptureImageStorage, "US")
        made.ConversionType = "SYN" if picture.synthetic else "WSD"
        made.ImageType = ["DERIVED", "SECONDARY"]
        made.PatientOrientation = ""
        made.BurnedInAnnotation = "NO"
        made.DerivationDescription = (
            "Synthetic ultrasound made by a model: it shows no patient"
            if picture.synthetic
            else "Frame of an ultrasound examination, redacted and reduced to 8-bit grey"
        )
        if picture.calibration is not None:
            made.PixelSpacing = made.NominalScannedPixelSpacing = _spacing(picture.calibration)
        _add_pixels(made, pixels, bits=8)
        made.PixelData = _even(pixels.tobytes())
        block = made.private_block(NOTE_GROUP, NOTE_CREATOR, create=True)
        block.add_new(NOTE_ELEMENT, "UT", note)
        _save(picture.path, made)
        self._image = made

    def describe(self, picture: Written) -> None:
        """Write the segmentation of the picture that was written last."""
        image = self._image
        if picture.ellipse is None or image is None:
            return
        mask = picture.ellipse.mask(picture.size)
        made = self._instance(picture, SegmentationStorage, "SEG")
        made.ImageType = ["DERIVED", "PRIMARY"]
        made.ContentLabel, made.ContentDescription = "FETAL_HEAD", "Ellipse of the fetal head"
        made.ContentCreatorName = ""
        made.SegmentationType = "BINARY"
        made.SegmentSequence = [_segment(synthetic=picture.synthetic)]
        made.LossyImageCompression = "00"
        made.DerivationDescription = image.DerivationDescription
        made.ReferencedSeriesSequence = [
            _item(
                SeriesInstanceUID=image.SeriesInstanceUID,
                ReferencedInstanceSequence=[_reference(image)],
            )
        ]
        dimensions = generate_uid(prefix=None)
        made.DimensionOrganizationSequence = [_item(DimensionOrganizationUID=dimensions)]
        made.DimensionIndexSequence = [
            _item(
                DimensionOrganizationUID=dimensions,
                DimensionIndexPointer=0x0062000B,  # the number of the segment
                FunctionalGroupPointer=0x0062000A,
                DimensionDescriptionLabel="Segment number",
            )
        ]
        shared = Dataset()
        if picture.calibration is not None:
            spacing = _spacing(picture.calibration)
            shared.PixelMeasuresSequence = [_item(PixelSpacing=spacing, SliceThickness="0.1")]
        made.SharedFunctionalGroupsSequence = [shared]
        source = _reference(image)
        source.SpatialLocationsPreserved = "YES"
        source.PurposeOfReferenceCodeSequence = [
            _code("121322", "DCM", "Source image for image processing operation")
        ]
        derivation = _item(
            SourceImageSequence=[source],
            DerivationCodeSequence=[_code("113076", "DCM", "Segmentation")],
        )
        made.PerFrameFunctionalGroupsSequence = [
            _item(
                FrameContentSequence=[_item(DimensionIndexValues=[1])],
                SegmentIdentificationSequence=[_item(ReferencedSegmentNumber=1)],
                DerivationImageSequence=[derivation],
            )
        ]
        made.NumberOfFrames = 1
        _add_pixels(made, mask, bits=1)
        made.PixelData = pack_bits(mask, pad=True)
        _save(self.folder / SEGMENTATIONS / f"{picture.stem}.dcm", made)

    def complete(self) -> None:
        """Nothing is left to write."""

    def _instance(self, picture: Written, kind: UID, modality: str) -> Dataset:
        """A new instance with the patient, the study and the series, and no pixels."""
        patient = picture.subject or _SYNTHETIC_PATIENT
        study = self._studies.setdefault(patient, generate_uid(prefix=None))
        series = self._series.setdefault((patient, modality), generate_uid(prefix=None))
        self._numbers[series] = self._numbers.get(series, 0) + 1
        now = datetime.datetime.now(datetime.UTC)
        made = Dataset()
        made.SpecificCharacterSet = "ISO_IR 192"
        made.SOPClassUID, made.SOPInstanceUID = kind, generate_uid(prefix=None)
        made.PatientID = made.PatientName = patient[:64]
        made.PatientBirthDate = made.PatientSex = ""
        made.PatientIdentityRemoved = "YES"
        made.DeidentificationMethod = f"FetalStudio {__version__}"
        made.DeidentificationMethodCodeSequence = [
            _code(value, "DCM", meaning) for value, meaning in _DEIDENTIFIED
        ]
        made.LongitudinalTemporalInformationModified = "REMOVED"
        made.StudyInstanceUID, made.SeriesInstanceUID = study, series
        made.StudyDate = made.StudyTime = made.StudyID = ""
        made.AccessionNumber = made.ReferringPhysicianName = ""
        made.Modality = modality
        made.SeriesNumber = 1 if modality == "US" else 2
        made.SeriesDescription = "Fetal heads" if modality == "SEG" else "Frames"
        made.InstanceNumber = self._numbers[series]
        made.ContentDate, made.ContentTime = f"{now:%Y%m%d}", f"{now:%H%M%S}"
        made.Manufacturer, made.ManufacturerModelName = MANUFACTURER, MANUFACTURER
        made.DeviceSerialNumber, made.SoftwareVersions = "0", __version__
        return made


def _segment(*, synthetic: bool) -> Dataset:
    segment = _item(
        SegmentNumber=1,
        SegmentLabel="Fetal head",
        SegmentAlgorithmType="SEMIAUTOMATIC" if synthetic else "MANUAL",
        SegmentedPropertyCategoryCodeSequence=[_code("123037004", "SCT", "Body structure")],
        SegmentedPropertyTypeCodeSequence=[_code("69536005", "SCT", "Head")],
        TrackingID="fetal head",
        TrackingUID=generate_uid(prefix=None),
    )
    if synthetic:
        segment.SegmentAlgorithmName = f"FetalStudio {__version__}"
    return segment


def _add_pixels(made: Dataset, pixels: NDArray[np.uint8], bits: int) -> None:
    made.Rows, made.Columns = pixels.shape
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated = made.BitsStored = bits
    made.HighBit, made.PixelRepresentation = bits - 1, 0


def _spacing(calibration: Calibration) -> list[str]:
    """The distance of rows first, as many digits as a decimal string may have."""
    return [f"{side:.13g}"[:16] for side in (calibration.mm_per_px_y, calibration.mm_per_px_x)]


def _reference(image: Dataset) -> Dataset:
    return _item(
        ReferencedSOPClassUID=image.SOPClassUID, ReferencedSOPInstanceUID=image.SOPInstanceUID
    )


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    return _item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def _item(**tags: Any) -> Dataset:
    made = Dataset()
    for keyword, value in tags.items():
        setattr(made, keyword, value)
    return made


def _even(data: bytes) -> bytes:
    return data + b"\0" * (len(data) % 2)


def _save(path: Path, made: Dataset) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = made.SOPClassUID
    meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
    made["PixelData"].VR = "OB"
    buffer = io.BytesIO()
    whole = FileDataset(buffer, made, b"\0" * 128, meta)
    whole.save_as(buffer, enforce_file_format=True)
    write_bytes(path, buffer.getvalue())
