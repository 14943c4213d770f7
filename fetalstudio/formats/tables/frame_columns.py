"""What the columns of tables about frames are called, in several languages, and their units."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from pathlib import Path

from fetalstudio.core.errors import InputError
from fetalstudio.core.growth import AGE_LABEL
from fetalstudio.formats.tables.table_files import Table, plain

FILENAME, PIXEL_SIZE, HC = "filename", "pixel size(mm)", "head circumference (mm)"
HC_CM = "head circumference (cm)"
"""In place of :data:`HC`."""
PIXEL_SIZE_X, PIXEL_SIZE_Y = "pixel width(mm)", "pixel height(mm)"
"""In place of :data:`PIXEL_SIZE`."""
PIXEL_SIZES = (PIXEL_SIZE, PIXEL_SIZE_X, PIXEL_SIZE_Y)
UNIT = "unit"
"""Of a pixel size whose own column does not say it."""
ELLIPSE = ("cx", "cy", "a", "b", "angle_deg")
"""In px of the frame, the angle in degrees."""
ANGLE_RAD = "angle_radians"
"""The angle of an ellipse in px, in place of ``angle_deg``."""
SUBMISSION = ("center_x_mm", "center_y_mm", "semi_axes_a_mm", "semi_axes_b_mm", "angle_rad")
"""The ellipse's columns in a submission to the HC18 challenge: in mm from the first pixel, with
the angle in radians."""
DIAMETERS = ("diameter_a", "diameter_b")
"""In px: twice the semi-axes of an ellipse, in place of ``a`` and ``b``."""
SIZE = ("width", "height")
"""In px: of the frame that an ellipse was drawn on."""
SUBJECT = "subject"
"""Who the patient is: see :func:`~fetalstudio.formats.privacy.subjects.subject_key`."""
LABELS = ("country", "quality", "scanner", "site", AGE_LABEL)
"""Columns whose text becomes a label of the frame. No others: they may say who the patient is."""
NUMBERS = (HC, HC_CM, *ELLIPSE, *DIAMETERS, ANGLE_RAD, *SUBMISSION, *SIZE)
"""Columns of numbers, besides the pixel sizes."""


@dataclass(frozen=True, slots=True)
class Unit:
    """The unit of a pixel size."""

    mm: float
    """The length in mm that it names."""
    inverse: bool = False
    """Whether it is a number of pixels per length."""

    def in_mm(self, value: float) -> float:
        """``value`` in mm per px."""
        return self.mm / value if self.inverse else value * self.mm


_LENGTHS = {
    **dict.fromkeys(("mm", "millimeter", "millimetre", "мм", "毫米"), 1.0),
    **dict.fromkeys(("cm", "см"), 10.0),
    **dict.fromkeys(("um", "µm", "мкм"), 0.001),
    "m": 1000.0,
}
"""In mm."""
_PIXELS = ("px", "pix", "pixel", "pixels", "pixeles", "пикс", "пиксель", "像素")
_PER = ("per", "pro", "par", "por", "на")


def _ratios() -> Iterator[tuple[str, Unit]]:
    for (length, mm), per, pixel in product(_LENGTHS.items(), _PER, _PIXELS):
        yield plain(length + per + pixel), Unit(mm)
        yield plain(pixel + per + length), Unit(mm, inverse=True)


_RATIOS = dict(_ratios())
_UNITS = {plain(name): Unit(mm) for name, mm in _LENGTHS.items()} | _RATIOS


def _plain(text: str) -> str:
    """A slash counts: ``px/mm`` is no size of a ``px (mm)``."""
    return plain(text.replace("/", "per"))


def unit_in(text: str) -> Unit | None:
    """The unit of a pixel size with this name, such as ``mm``, ``mm/px`` or ``pixels per cm``."""
    return _UNITS.get(_plain(text))


_PIXEL_SIZE_WORDS = (
    *("pixel size", "px size", "pixel spacing", "spacing", "Pixelgröße", "Pixelgroesse"),
    *("Pixelabstand", "tamaño de píxel", "tamaño del píxel", "tamaño píxel", "taille du pixel"),
    *("taille de pixel", "taille pixel", "dimensione pixel", "dimensione del pixel"),
    *("tamanho do pixel", "pixelgrootte", "rozmiar piksela", "размер пикселя", "像素大小"),
    *("像素尺寸", "像素间距", "ピクセルサイズ", "픽셀 크기"),
    *("espaciado de píxel", "espaciado del píxel", "espaciado entre píxeles", "tamanho de pixel"),
    *("tamanho pixel", "espaçamento de pixel", "espaçamento do pixel", "taille des pixels"),
    *("espacement du pixel", "espacement des pixels", "spaziatura pixel", "spaziatura dei pixel"),
)
_SCALE_WORDS = (
    *("resolution", "pixel resolution", "scale", "calibration", "pixel density", "resolución"),
    *("resolução", "risoluzione", "Auflösung", "escala", "échelle", "scala", "Maßstab"),
    *("calibración", "calibração", "calibrazione", "Kalibrierung", "разрешение", "масштаб"),
)
"""These mean a pixel size only with its unit."""
_PIXEL_SIZE_PLAIN = tuple(map(plain, _PIXEL_SIZE_WORDS))
_SCALE_PLAIN = tuple(map(plain, _SCALE_WORDS))
_AXES = {
    "x": ("x", "column", "columns", "col", "horizontal"),
    "y": ("y", "row", "rows", "vertical"),
}
"""Of a pixel size: as in DICOM, the spacing of rows is the height of a pixel."""
_SIDES = {
    "x": (
        *("pixel width", "Pixelbreite", "ancho de píxel", "ancho del píxel", "largeur du pixel"),
        *("largeur de pixel", "largura do pixel", "larghezza pixel"),
    ),
    "y": (
        *("pixel height", "Pixelhöhe", "alto de píxel", "alto del píxel", "altura de píxel"),
        *("hauteur du pixel", "hauteur de pixel", "altura do pixel", "altezza pixel"),
    ),
}
_SIDE_WORDS = tuple(
    (
        side,
        (*map(plain, words), *(a + w for a in map(plain, _AXES[side]) for w in _PIXEL_SIZE_PLAIN)),
    )
    for side, words in _SIDES.items()
)
"""What means one side of a pixel, as ``x spacing`` does."""
_NAMED = {"": PIXEL_SIZE, "x": PIXEL_SIZE_X, "y": PIXEL_SIZE_Y}
_Size = tuple[str, Unit | None]
"""Which pixel size a header means, and the unit that it states."""


def _tails(units: Mapping[str, Unit]) -> Iterator[tuple[str, _Size]]:
    yield from ((text, (PIXEL_SIZE, unit)) for text, unit in units.items())
    for side, words in _AXES.items():
        for axis, (text, unit) in product(words, units.items()):
            yield axis + text, (_NAMED[side], unit)
            yield text + axis, (_NAMED[side], unit)


_RATIO_TAILS = dict(_tails(_RATIOS))
_TAILS: Mapping[str, _Size] = {
    **dict(_tails(_UNITS)),
    "": (PIXEL_SIZE, None),
    **{axis: (_NAMED[side], None) for side, words in _AXES.items() for axis in words},
}
"""What may follow the words for a pixel size: its axis, its unit, or both."""


def _pixel_size_of(header: str) -> _Size | None:
    """What a header says of a pixel size; None for any other column."""
    text = _plain(header)
    if text in _RATIO_TAILS:
        return _RATIO_TAILS[text]
    for words, tails in ((_PIXEL_SIZE_PLAIN, _TAILS), (_SCALE_PLAIN, _RATIO_TAILS)):
        for word in words:
            if text.startswith(word) and (found := tails.get(text[len(word) :])) is not None:
                return found
    for side, words in _SIDE_WORDS:
        for word in words:
            rest = text[len(word) :]
            if text.startswith(word) and (not rest or rest in _UNITS):
                return _NAMED[side], _UNITS.get(rest)
    return None


_FILE = ("file", "image", "img", "picture", "frame", "photo")
_FILES = (
    *("Datei", "Bilddatei", "Bild", "archivo", "fichero", "imagen", "foto", "fichier", "immagine"),
    *("arquivo", "ficheiro", "imagem", "bestand", "afbeelding", "plik", "obraz", "dosya", "файл"),
    *("изображение", "снимок", "文件", "图像", "图片", "画像", "이미지"),
)
_NAMES = ("name", "nombre", "nom", "nome", "naam", "名")
_OF = ("", "de", "del", "de la", "du", "de l", "da", "do", "della", "dell")
_MORE_FILES = (
    "bestandsnaam",
    "nazwa pliku",
    "имя файла",
    "ファイル名",
    "파일명",
    "שם קובץ",
    "اسم الملف",
)


def _files() -> Iterator[str]:
    """Those that say that they are names come first: an ``imagen`` beside them may be a number."""
    yield from (f"{what}name" for what in _FILE[:2])
    for what, name, of in product((*_FILE, *_FILES), _NAMES, _OF):
        yield what + name
        yield name + of + what
    yield from _MORE_FILES
    yield from _FILE[:2]
    yield from (f"{what}{end}" for end in ("path", "file", "", "id") for what in _FILE)
    yield from ("name", "path", "basename", *_FILES)
    for file, of, picture in product((*_FILE, *_FILES), _OF[:2], (*_FILE, *_FILES)):
        yield file + of + picture  # archivo de imagen


_PEOPLE = (
    *("subject", "subj", "patient", "participant", "Patientin", "paciente", "paziente"),
    *("patiente", "pacjent", "pacjentka", "Proband", "Probandin", "volunteer", "woman", "mother"),
    *("hasta", "utente", "doente", "pasient", "sujet", "sujeto", "soggetto", "Teilnehmerin"),
    *("Studienteilnehmer", "пациент", "пациентка", "患者", "病人", "受试者", "환자", "ασθενής"),
    *("מטופל", "מטופלת", "مريض", "المريض", "المريضة"),
)
_PEOPLE_WITH = (
    *("pat", "patients", "Patienten", "Probanden", "pacjenta", "pacjentki", "пациента"),
    *("пациентки", "case", "individual", "client", "donor", "record"),
)
"""These mean a subject only beside a word such as id. The number of a fetus is that of a twin."""
_IDS = (
    *("id", "no", "nr", "num", "number", "n", "key", "code", "name", "identifier", "uid", "nummer"),
    *("numero", "numer", "nombre", "nom", "código", "номер", "код", "编号", "号", "番号", "번호"),
    *("מספר", "رقم", "αριθμός", "pseudonym"),
)
_SUBJECTS = (
    *(
        "fetus id",
        "foetus id",
        "sub",
        "pid",
        "ptid",
        "pt",
        "ptno",
        "sid",
        "study id",
        "study no",
        "study number",
    ),
    *("mrn", "medical record number", "medical record no", "uhid", "crn", "hn", "hospital no"),
    *("hospital number", "hospital nr", "nhs no", "nhs number", "NHC", "historia clínica"),
    *("nº historia clínica", "n historia clínica", "número de historia clínica", "IPP"),
    *("nº dossier", "n dossier", "numéro de dossier", "cartella clinica"),
    *("prontuário", "nº processo", "número de processo", "Fallnummer", "Fall-Nr", "Fall-ID"),
    *("№ карты", "номер карты", "№ истории болезни", "номер истории болезни", "ФИО"),
    *("病历号", "病案号", "住院号", "门诊号", "カルテ番号", "anon id", "anonymised id"),
    *("anonymized id", "pseudonym", "personnummer"),
)


def _subjects() -> Iterator[str]:
    yield from _PEOPLE
    for who, what in product((*_PEOPLE, *_PEOPLE_WITH), _IDS):
        yield who + what
        yield what + who
        for of in ("de", "del", "du", "di", "da", "do", "of"):
            yield what + of + who
    yield from _SUBJECTS


_CIRCUMFERENCES = (
    *("head circumference", "hc", "Kopfumfang", "perímetro cefálico", "circunferencia cefálica"),
    *("circunferência cefálica", "perímetro craneal", "périmètre crânien", "périmètre céphalique"),
    *("circonferenza cranica", "circonferenza cefalica", "hoofdomtrek", "obwód głowy"),
    *("окружность головы", "头围"),
)
_CENTRES = ("center", "centre", "centro", "Mittelpunkt", "Zentrum", "центр")
_SEMI_AXES = {
    "a": (
        *("semieje mayor", "semieixo maior", "semiasse maggiore", "große Halbachse"),
        *("demi grand axe", "grand demi axe", "большая полуось"),
    ),
    "b": (
        *("semieje menor", "semieixo menor", "semiasse minore", "kleine Halbachse"),
        *("demi petit axe", "petit demi axe", "малая полуось"),
    ),
}
ANGLES = ("angle", "ángulo", "ângulo", "angolo", "Winkel", "угол")
"""What an angle may be called without a word on its unit."""
_UNSAID = {"a": ("a", "a px"), "b": ("b", "b px")}
"""What the axes of an ellipse may be called without a word on whether they are semi-axes."""

SPELLINGS: Mapping[str, Sequence[str]] = {
    name: tuple(dict.fromkeys(map(plain, known)))
    for name, known in {
        FILENAME: tuple(_files()),
        UNIT: ("unit", "units", "Einheit", "unidad", "unité", "unità", "единица", "单位"),
        HC: (*(f"{word} mm" for word in _CIRCUMFERENCES), *_CIRCUMFERENCES),
        HC_CM: tuple(f"{word} cm" for word in _CIRCUMFERENCES),
        "cx": ("cx", "cx px", *(text for word in _CENTRES for text in (f"{word} x", f"x {word}"))),
        "cy": ("cy", "cy px", *(text for word in _CENTRES for text in (f"{word} y", f"y {word}"))),
        **{
            axis: (
                *_UNSAID[axis],
                *(f"semi axis {axis}", f"semi {which}", f"semi {which} axis"),
                f"semi {which} axis px",
                *_SEMI_AXES[axis],
            )
            for axis, which in (("a", "major"), ("b", "minor"))
        },
        **{
            name: (
                *(f"diameter {axis}", f"{axis} diameter", f"{which} diameter", f"diameter {which}"),
                *(f"{which} axis length", f"{which} axis diameter", f"full {which} axis"),
            )
            for name, axis, which in (
                (DIAMETERS[0], "a", "major"),
                (DIAMETERS[1], "b", "minor"),
            )
        },
        "angle_deg": (
            *("angle deg", "angle degrees", "angle degree", "ángulo grados", "ângulo graus"),
            *("angle degrés", "angolo gradi", "Winkel Grad", *ANGLES),
        ),
        ANGLE_RAD: (
            *("angle rad", "angle radians", "angle radian", "ángulo radianes", "ângulo radianos"),
            *("angle radians", "angolo radianti", "Winkel rad"),
        ),
        SUBJECT: tuple(_subjects()),
        AGE_LABEL: ("gestational age", "gest age", "ga"),
        **{name: (name,) for name in (*SIZE, *LABELS[:-1], *SUBMISSION)},
    }.items()
}
"""What each column may be called, as :func:`~fetalstudio.formats.tables.table_files.plain` has
it."""
_KNOWN = frozenset(name for known in SPELLINGS.values() for name in known)
_OF_FILES = frozenset(SPELLINGS[FILENAME])


class Lengths(StrEnum):
    """What the header says of the two lengths of an ellipse."""

    UNSAID = "unsaid"
    """Nothing; they are read as semi-axes."""
    SEMI_AXES = "semi-axes"
    DIAMETERS = "diameters"


@dataclass(frozen=True, slots=True)
class Axes:
    """Where a table has the lengths of its ellipses."""

    table: Path
    headers: tuple[str, str]
    """The headers of both columns."""
    lengths: Lengths
    small_angles: bool = False
    """Whether its angles are in degrees, as its header says, but could all be in radians."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns a table has."""

    where: dict[str, int]
    """Their places, by the names of this module."""
    units: Mapping[str, Unit | None]
    """The unit that the header of each pixel size states."""
    axes: Axes | None = None
    """The columns ``a`` and ``b``, where both are there."""

    @property
    def names(self) -> frozenset[str]:
        """The columns; :data:`PIXEL_SIZE` is one where both sides of a pixel are given."""
        sides = {PIXEL_SIZE_X, PIXEL_SIZE_Y} <= self.where.keys()
        return frozenset(self.where) | ({PIXEL_SIZE} if sides else set())


def columns_of(table: Table, *, once: Collection[str] = ()) -> Columns:
    """The columns of a table. Raises :class:`InputError` for one in ``once`` that is there
    twice."""
    where = table.columns(SPELLINGS, once=[name for name in once if name in SPELLINGS])
    units: dict[str, Unit | None] = {}
    for i, cell in enumerate(table.header):
        found = _pixel_size_of(cell)
        if found is None:
            continue
        name, unit = found
        rivals = [n for n in PIXEL_SIZES if n in units and (n == name or PIXEL_SIZE in (n, name))]
        if rivals and name in once:
            twice = f"{table.header[where[rivals[0]]]!r} and {cell!r}"
            raise InputError(
                f"{table.path} has several columns for {name!r}: {twice}. Remove all but one."
            )
        where.setdefault(name, i)
        units.setdefault(name, unit)
    return Columns(where, units, _axes(table, where))


def _axes(table: Table, where: dict[str, int]) -> Axes | None:
    """What the header says of the axes. Where both diameters take the place of the semi-axes, these
    have their columns."""
    diameters = [where.pop(name) for name in DIAMETERS if name in where]
    lengths = Lengths.SEMI_AXES
    if len(diameters) == 2 and where.keys().isdisjoint(_UNSAID):
        where["a"], where["b"] = diameters
        lengths = Lengths.DIAMETERS
    if not where.keys() >= _UNSAID.keys():
        return None
    headers = table.header[where["a"]], table.header[where["b"]]
    if plain(headers[0]) in map(plain, _UNSAID["a"]) or plain(headers[1]) in map(
        plain, _UNSAID["b"]
    ):
        lengths = Lengths.UNSAID
    return Axes(table.path, headers, lengths)


def known_columns(cells: Sequence[str]) -> int:
    """How many of these cells are headers of a table that names frames; 0 where none names
    frames."""
    names = {plain(cell) for cell in cells}
    if not names & _OF_FILES:
        return 0
    return len(names & _KNOWN) + len({_plain(cell) for cell in cells if _pixel_size_of(cell)})
