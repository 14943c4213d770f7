"""``croissant.json``: the data set in the vocabulary of MLCommons, which search engines read."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from fetalstudio.formats.files import sha256_of, write_bytes
from fetalstudio.formats.writing.dataset_card import LIMITS, DatasetCard, Origin
from fetalstudio.version import __version__

CROISSANT = "croissant.json"
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_TYPES = {
    ".csv": "text/csv",
    ".json": "application/json",
    ".md": "text/markdown",
    ".parquet": "application/vnd.apache.parquet",
    ".png": "image/png",
    ".dcm": "application/dicom",
    ".txt": "text/plain",
    ".xml": "application/xml",
    ".yaml": "application/yaml",
    ".zip": "application/zip",
}
_MOST_SINGLE = 5
"""Of one ending: more files than this in a folder are a set."""


def write_croissant(folder: Path, card: DatasetCard, origin: Origin) -> None:
    """Describe the files that are in ``folder`` by now.

    Raises :class:`~fetalstudio.core.errors.UserError` where it cannot be written.
    """
    record = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": [
            "http://mlcommons.org/croissant/1.0",
            "http://mlcommons.org/croissant/RAI/1.0",
        ],
        "name": "fetal-head-ultrasound",
        "description": card.summary(),
        "datePublished": origin.created,
        "version": "1.0.0",
        "keywords": ["ultrasound", "fetal head", "segmentation", "biometry"],
        "rai:dataAnnotationPlatform": [f"FetalStudio {__version__}"],
        "rai:dataLimitations": list(LIMITS),
        "rai:personalSensitiveInformation": ["Ultrasound frames of patients, without their names"]
        if card.frames
        else [],
        "distribution": _distribution(folder),
    }
    text = json.dumps({k: v for k, v in record.items() if v != []}, indent=1, ensure_ascii=False)
    write_bytes(folder / CROISSANT, f"{text}\n".encode())


def _distribution(folder: Path) -> list[dict[str, Any]]:
    """Tables and the like one by one, pictures as sets."""
    paths = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    kinds = Counter(map(_kind, paths))
    single = [path for path in paths if kinds[_kind(path)] <= _MOST_SINGLE]
    objects = [
        {
            "@type": "cr:FileObject",
            "@id": path,
            "name": path,
            "contentUrl": path,
            "contentSize": f"{(folder / path).stat().st_size} B",
            "encodingFormat": _type(path),
            "sha256": sha256_of(folder / path),
        }
        for path in single
    ]
    return objects + _sets([kind for kind in kinds if kinds[kind] > _MOST_SINGLE])


def _sets(kinds: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    return [
        {
            "@type": "cr:FileSet",
            "@id": f"{parent}/*{suffix}",
            "name": f"{parent}/*{suffix}",
            "encodingFormat": _type(suffix),
            "includes": f"*{suffix}" if parent == "." else f"{parent}/*{suffix}",
        }
        for parent, suffix in sorted(kinds)
    ]


def _kind(path: str) -> tuple[str, str]:
    """The folder of a file and its ending."""
    return str(PurePosixPath(path).parent), _suffix(path)


def _suffix(path: str) -> str:
    return ".nii.gz" if path.endswith(".nii.gz") else PurePosixPath(path).suffix


def _type(path: str) -> str:
    suffix = path if path.startswith(".") and "/" not in path else _suffix(path)
    return _TYPES.get(suffix.lower(), "application/octet-stream")
