"""Whom a frame is of: found in the names of files and folders, and in tables.

What is found here identifies the patient, whichever of them names her, and is never stored:
:mod:`fetalstudio.project.patients` makes the key from it that is.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

_WORD = r"(?:p|pt|pat|patient|case|subj|sub|subject|participant|id|s)"
_HC18 = re.compile(r"(\d+)_\d*HC")
_PATIENT = re.compile(r"(?:(?i:patient)[-_ ]?\d+)(?:_([A-Z]{3})(?![A-Za-z]))?")
_BIDS = re.compile(r"(sub-[A-Za-z0-9]+)(?:_.*)?")
_LONG_WORD = (
    "(?:patient(?:in)?|participant|subject|case|study|exam|fo?etus|woman|mother|volunteer|proband"
    "|person|mrn|acc|accession|fall|paciente|paziente|patiente|pacjentka|hasta"
    "|пациент(?:ка)?|患者|病人|病例)"
)
_NUMBERED = re.compile(
    rf"(?:(?:19|20)\d\d[-_.]?\d\d[-_.]?\d\d[-_ ])?"  # the date of the examination
    rf"((?:{_WORD}|{_LONG_WORD})[-_ .]?\d+)(?:[-_ .].*)?",
    re.IGNORECASE,
)
_NUMBERED_AND_MORE = re.compile(rf"({_LONG_WORD}[-_ .]?\d+)[^\W\d_].*", re.IGNORECASE)
"""``case12a`` and ``subject12img3``."""
_TAGGED = re.compile(
    r"[0-9a-f]{8}-(.+)|(.+)_(?:png|jpe?g|bmp|tiff?)\.rf\.\w{8,}", re.IGNORECASE | re.DOTALL
)
"""What Label Studio and Roboflow put around the name of a file."""
_VIDEO = "(?:video|vid|clip|cine|loop|movie)"
_FRAME_OF_VIDEO = (
    re.compile(r"(\d{8}T\d{6})(?:[-_]\d+)+"),
    re.compile(r"(.+\.(?:avi|mp4|mov|mkv|wmv|gif|dcm))[-_ .#]*(?:frame|f)?[-_ ]?\d+", re.I),
    re.compile(
        r"(.*(?:video|vid|clip|cine|loop|movie)[-_ ]?\d*)[-_ ](?:(?:frame|f)[-_ ]?)?\d+", re.I
    ),
    re.compile(r"(.+)[-_ ](?:frame|fr|f)[-_ ]?\d+", re.IGNORECASE),
)
_NUMBER_OF_ONE = re.compile(rf"(?:{_WORD}|{_LONG_WORD})?[-_ ]?\d+", re.IGNORECASE)
_PATIENT_FOLDER = re.compile(rf"(?:{_WORD}|{_LONG_WORD})[-_ .]?\d+", re.IGNORECASE)
_OF_OTHERS = re.compile(r"study|exam|acc|s[-_ .]?\d", re.IGNORECASE)
"""What such a folder may also be: an examination's, or a site's or series' (``S1``)."""
_VIDEO_FOLDER = re.compile(rf"{_VIDEO}[-_ ]?\d+", re.IGNORECASE)
_WHOLE = re.compile(r"^(\d+)\.0+$", re.ASCII)
"""A whole number as programs write it that know one with decimals in the same column."""
_PSEUDONYM = re.compile(
    rf"(?:{_WORD}?[-_ ]?\d{{1,6}})|(?:patient[-_ ]?\d{{1,6}}(?:_[A-Z]{{3}})?)"
    r"|subject-[0-9a-f]{12}(?:[0-9a-f]{4})?",
    re.IGNORECASE,
)
"""What is taken as it is: a pseudonym, and a key as this version and former ones store it."""


def subject_key(text: str) -> str:
    """What stands for the patient whom a table, a file or a folder calls so.

    A text that may be a name or a hospital's number is hashed, as the keys of former versions were.
    """
    plain = unicodedata.normalize("NFC", text).strip()
    plain = _WHOLE.sub(r"\1", plain)
    if is_pseudonym(plain):
        return plain
    return f"subject-{hashlib.sha256(plain.encode()).hexdigest()[:12]}"


def subject_of(name: str) -> str:
    """The patient key in a frame's name.

    ``392_2HC`` is of subject 392, ``Patient00690_Plane3_1_of_4`` of Patient00690,
    ``patient002_EGY_plane1`` of patient002_EGY, ``sub-07_run-1`` of sub-07 and ``P01_001`` of P01.
    The frames of one video are of one subject. Any other name is its own subject.
    """
    if tagged := _TAGGED.fullmatch(name):
        name = tagged[1] or tagged[2]
    if found := _HC18.fullmatch(name) or _BIDS.fullmatch(name):
        return subject_key(found[1])
    if found := _PATIENT.match(name):
        return subject_key(found[0])
    if found := _NUMBERED.fullmatch(name) or _NUMBERED_AND_MORE.fullmatch(name):
        return subject_key(found[1])
    return video_of(name) or name


def video_of(name: str) -> str | None:
    """What the video is called whose frame has this name (``clip 3_frame_012``), if it is one."""
    matches = (pattern.fullmatch(name) for pattern in _FRAME_OF_VIDEO)
    return next((found[1] for found in matches if found), None)


def subject_of_folder(name: str) -> str | None:
    """The patient key in a folder's name (``P001``, ``case 12``, ``video_3``); None for any other
    name."""
    found = _NUMBER_OF_ONE.fullmatch(name) or _BIDS.fullmatch(name)
    return subject_key(name) if found or _VIDEO_FOLDER.fullmatch(name) else None


def says_patient(folder: str) -> bool:
    """Whether a folder's name says that it is a patient's (``P001``, ``patient 12``, ``sub-07``): a
    bare number does not, nor does that of a study, a site or a video."""
    of_patient = _PATIENT_FOLDER.fullmatch(folder) or _BIDS.fullmatch(folder)
    return of_patient is not None and not _OF_OTHERS.match(folder)


def subject_of_place(folders: Sequence[str], source: str) -> str | None:
    """The patient key in the names of the folders that lead from a source, which is called so, to a
    picture.

    The outermost folder that says that it is a patient's counts: of ``P01/video_3/img`` it is P01.
    If none says so, the source may. Of ``12/img`` the outermost that may be a patient's counts.
    """
    told = next(filter(says_patient, (*folders, source)), None)
    if told is not None:
        return subject_key(told)
    return next(filter(None, map(subject_of_folder, folders)), None)


def is_pseudonym(text: str) -> bool:
    """Whether a patient's name is taken as it is, because it says nothing about her."""
    return _PSEUDONYM.fullmatch(text) is not None


def nearly_equal(subjects: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Those texts or keys that differ in capitals, accents, zeros or punctuation alone, such as P7,
    p07 and P-7. A key that was made of a text does not show it."""
    alike: dict[str, set[str]] = defaultdict(set)
    for key in subjects:
        letters = unicodedata.normalize("NFKD", re.sub(r"\.0+$", "", key.casefold()))
        plain = re.sub(r"[\W_]+", "", letters)
        alike[re.sub(r"(?<!\d)0+(?=\d)", "", plain)].add(key)
    return tuple(tuple(sorted(keys)) for keys in alike.values() if len(keys) > 1)


def written_alike(what: str) -> str:
    """The message that the patients of these files or lines are :func:`nearly_equal`."""
    return (
        f"The patients of {what} are written nearly alike, and count as different ones. If they "
        "are one, write them alike, or set the subject in Library."
    )


def country_of(name: str) -> Mapping[str, str]:
    """The label in a name such as ``patient002_EGY_plane1`` (ISO 3166, three letters)."""
    patient = _PATIENT.match(name)
    return {"country": patient[1]} if patient and patient[1] else {}
