"""Which words in the names of masks and of their folders say what they show.

Words are compared without case and accents; capitals inside a name begin another one.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from fetalstudio.formats.pictures.picture_files import stem_of

MASK_WORDS = (
    "annotations?|annot|anno|masks?|msks?|segs?|segmentations?|segmented|gts?|labels?|lbls?"
    "|labelmaps?|ground[-_ ]?truth|truth"
    "|masken?|m[a\u00e1]scaras?|masques?|maschere?|segmentierung(?:en)?|segmentaci[o\u00f3]n(?:es)?"
    "|annotationen|anotaci[o\u00f3]n(?:es)?|anota[c\u00e7](?:[a\u00e3]o|[o\u00f5]es)|etiquetas?"
    "|[e\u00e9]tiquettes?|annotazion[ei]|beschriftung(?:en)?"
    "|маск[аи]|掩[膜码]|蒙版|标[签注]|分割"
)
"""What a mask is called, as a regular expression, in the languages of those who publish data."""

HEADS = frozenset(
    {"head", "heads", "skull", "skulls", "hc", "cranium", "fetalhead"}
    | {"kopf", "schadel", "cabeza", "craneo", "tete", "crane", "cabeca", "cranio", "testa"}
    | {"голова", "череп", "头", "胎头"}
)
"""What the head is called."""
_OTHERS = frozenset(
    {"abdomen", "abdomens", "abdominal", "ac", "stomach", "liver", "kidney", "kidneys", "bladder"}
    | {"femur", "femurs", "fl", "humerus", "heart", "cardiac", "thorax", "chest", "lung", "lungs"}
    | {"spine", "placenta", "cord", "symphysis", "pubic", "pubis", "ps", "cervix", "uterus"}
    | {"brain", "cerebellum", "cerebellar", "csp", "cavum", "thalamus", "thalami", "ventricle"}
    | {"ventricles", "lv", "midline", "falx", "nuchal", "nt", "face", "nose", "lip", "lips"}
    | {"background", "bg", "sector", "fan", "fov", "text", "caliper", "calipers"}
    | {"roi", "rois", "abdo", "belly", "tummy", "trunk", "torso"}
    | {"bauch", "bauchumfang", "herz", "oberschenkel", "oberschenkelknochen", "brust", "lunge"}
    | {"leber", "magen", "niere", "nieren", "harnblase", "plazenta", "symphyse", "gehirn", "hirn"}
    | {"kleinhirn", "ventrikel", "nackenfalte", "gesicht", "hintergrund", "sektor"}
    | {"vientre", "barriga", "corazon", "torax", "pulmon", "pulmones", "higado", "estomago"}
    | {"rinon", "rinones", "vejiga", "columna", "sinfisis", "cerebro", "cerebelo", "talamo"}
    | {"ventriculo", "ventriculos", "nuca", "rostro", "fondo", "abdome", "coracao", "pulmao"}
    | {"figado", "rim", "rins", "bexiga", "coluna", "sinfise", "fundo", "ventre", "coeur"}
    | {"poumon", "poumons", "foie", "estomac", "vessie", "symphyse", "cerveau", "cervelet"}
    | {"ventricule", "nuque", "visage", "addome", "cuore", "femore", "polmone", "fegato"}
    | {"cervello", "cervelletto", "faccia", "sfondo", "живот", "сердце", "бедро", "мозг"}
    | {"腹部", "心脏", "股骨", "胎盘"}
)
"""What a mask may show besides a head."""
_PARTS = frozenset({"inner", "innen", "interno", "interna", "interieur"})
"""What says that a mask shows a part of the head only, as in ``x_inner_skull_mask``."""
_BY_MODELS = frozenset(
    {"pred", "preds", "predicted", "prediction", "predictions", "uncertainty", "confidence"}
    | {"prob", "probs", "probability", "entropy", "attention", "saliency", "heatmap", "heatmaps"}
    | {"vorhersage", "vorhersagen", "prediccion", "predicciones", "predicao", "predicoes"}
    | {"previsao", "predizione"}
)
_UNSURE = frozenset(
    {"auto", "automatic", "ai", "model", "unet", "sam", "medsam", "nnunet", "network", "cnn"}
    | {"inference", "generated", "wrong", "bad", "old", "bak", "backup", "draft", "unchecked"}
    | {"flipped", "flip", "hflip", "vflip", "mirrored", "rotated", "rot", "augmented", "aug"}
    | {"inverted", "inv", "resized", "cropped", "crop", "shifted", "eroded", "dilated"}
    | {"weights", "distance", "output", "outputs"}
)
"""What says of a folder of masks that they may not be what a person drew on these frames."""
_USUAL = frozenset(
    {"reader", "readers", "rater", "observer", "obs", "annotator", "annotated", "expert", "user"}
    | {"experts", "sonographer", "radiologist", "doctor", "dr", "operator", "person", "human"}
    | {"hand", "manual", "manually", "drawn", "traced", "trace", "polygon", "final", "version"}
    | {"ver", "rev", "revision", "revised", "corrected", "checked", "reviewed", "approved"}
    | {"consensus", "majority", "staple", "agreed", "gold", "standard", "reference", "ref"}
    | {"copy", "kopie", "copia", "copie", "new", "binary", "bin", "filled", "fill", "full", "whole"}
    | {"fetal", "foetal", "fetus", "foetus", "ellipse", "ell", "elipse", "outline", "ring", "outer"}
    | {"contour", "semantic", "instance", "first", "second", "third", "st", "nd", "rd", "th"}
    | {"grey", "gray", "color", "colour", "rgb", "png", "jpg", "jpeg", "tif", "tiff", "bmp", "nii"}
    | {"image", "img", "im", "frame", "us", "ultrasound", "scan", "picture", "raw", "original"}
    | {"plane", "view", "slice", "section", "axial", "transthalamic", "transventricular"}
    | {"circumference", "boundary", "region", "area", "train", "val", "validation", "test", "site"}
    | {"clean", "cleaned", "fixed", "edited", "refined", "smoothed", "bit", "uint", "bw"}
    | {"labelme", "cvat", "itk", "snap", "itksnap", "slicer", "the", "of", "and", "with", "for"}
    | {"leser", "befunder", "lector", "lectora", "observador", "observadora", "lecteur", "leitor"}
    | {"manuell", "manuel", "neu", "nuevo", "nueva", "nouveau", "novo", "nova", "finale"}
)
"""What the name of a mask may say besides that of its frame without being about what it shows."""
_TOKEN = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^\W\d_A-Za-z]+")
_INITIALS = re.compile(r"[A-Za-z]|[A-Z]{2}")
_MASK = re.compile(MASK_WORDS)


def words_of(text: str) -> list[str]:
    """The words of a name, in lower case and without accents."""
    return [token.lower() for token in _tokens(text)]


def no_head_in(text: str) -> str | None:
    """The word in the name of a mask, without that of its frame, or of its folder, by which it
    shows something else than a head that a person outlined: ``abdomen`` of ``x_abdomen_mask``."""
    words = words_of(text)
    if not HEADS.isdisjoint(words):
        words = [word for word in words if word not in _OTHERS]
    return next((word for word in words if word in _OTHERS | _PARTS | _BY_MODELS), None)


def is_of_heads(name: str) -> bool:
    """Whether the name of a folder in one of masks says that it holds those of heads."""
    return not HEADS.isdisjoint(words_of(name)) and no_head_in(name) is None


def may_be_a_models(folder: str) -> bool:
    """Whether a folder of masks may be one of what a model made, or of drafts, by its name."""
    return not _UNSURE.isdisjoint(words_of(folder))


def unsure_word(annotation: Path, frame: Path) -> str | None:
    """The word in the name of a frame's mask, or of its folder, by which it may be something else
    than its outline: any in ``x_WORD_mask`` that is not usual there, since nobody can list them
    all, and ``old`` or the like in the name of a folder. None where each word is usual."""
    usual = {*words_of(stem_of(frame)), *_USUAL, *HEADS}
    for token in _tokens(stem_of(annotation)):
        word = token.lower()
        if word in _UNSURE - usual:
            return word
        if word not in usual and not _MASK.fullmatch(word) and not _INITIALS.fullmatch(token):
            return word
    if annotation.parent == frame.parent:
        return None
    unsure = _UNSURE - {*words_of(frame.parent.name)}
    return next((word for word in words_of(annotation.parent.name) if word in unsure), None)


def _tokens(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", text)
    return _TOKEN.findall("".join(c for c in plain if not unicodedata.combining(c)))
