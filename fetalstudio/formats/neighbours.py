"""The copy index in a synthesizer's folder: what tells a copy of a training frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fetalstudio.core.errors import InputError, is_out_of_memory
from fetalstudio.core.similarity import ID_DIGITS, USED, Neighbours
from fetalstudio.formats.files import atomic_path
from fetalstudio.formats.model_card import INTACT_COPY

FILE = "training_frames.npz"
_FORMAT = 1


def write_neighbours(neighbours: Neighbours, folder: Path) -> None:
    """Write the index into a model's folder, atomically. It holds no pickle.

    Raises :class:`~fetalstudio.core.errors.UserError` where it cannot be written.
    """
    with atomic_path(folder / FILE) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(
            stream,
            format=np.int32(_FORMAT),
            ids=np.array(neighbours.ids, dtype=f"S{ID_DIGITS}"),
            descriptors=neighbours.descriptors.astype(np.float16),
            mean=neighbours.mean,
            scale=neighbours.scale,
            threshold=np.float32(neighbours.threshold),
        )


def read_neighbours(folder: Path) -> Neighbours | None:
    """Read the index in a model's folder; None where there is none.

    Raises :class:`InputError` for a damaged file and for one of a newer FetalStudio.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as data:
            if int(data["format"]) > _FORMAT:
                raise InputError(f"{path} was written by a newer FetalStudio. Update FetalStudio.")
            found = Neighbours(
                tuple(name.decode() for name in data["ids"].tolist()),
                data["descriptors"].astype(np.float32),
                data["mean"].astype(np.float32),
                data["scale"].astype(np.float32),
                float(data["threshold"]),
            )
    except InputError:
        raise
    except Exception as error:
        # NumPy and zlib raise a dozen kinds of error for damaged or foreign contents.
        if is_out_of_memory(error):
            raise
        raise InputError(f"{path} is damaged: {error}. {INTACT_COPY}") from error
    width = int(USED.sum())
    fits = (
        found.ids
        and found.descriptors.shape == (len(found.ids), width)
        and all(
            np.broadcast_shapes(v.shape, (width,)) == (width,) for v in (found.mean, found.scale)
        )
        and np.isfinite(found.threshold)
    )
    if not fits:
        raise InputError(f"{path} is damaged: its tables do not fit. Copy the folder again.")
    return found
