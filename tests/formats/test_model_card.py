"""Model cards: what they hold, and what is said of one that cannot be read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fetalstudio.core.errors import InputError
from fetalstudio.formats.model_card import CARD, FORMAT, SOURCE, ModelCard, Source
from fetalstudio.formats.neighbours import FILE, read_neighbours

VALUES = {
    "name": "mine",
    "kind": "segmenter",
    "architecture": {"type": "compact"},
    "preprocessing": {},
    "licence": "CC-BY-4.0",
    "training_data": {"cohorts": {}},
}


def saved(folder: Path, card: object) -> Path:
    (folder / CARD).write_text(card if isinstance(card, str) else json.dumps(card))
    return folder


def test_a_card_reads_back(tmp_path: Path) -> None:
    card = ModelCard(**VALUES, metrics={"dice": 0.97})  # type: ignore[arg-type]
    card.write(tmp_path)
    assert ModelCard.read(tmp_path) == card
    assert ModelCard.read(saved(tmp_path, VALUES)).format == FORMAT


NEWER: dict[str, dict[str, object]] = {
    "the same fields": {},
    "another field": {"scanner": "any"},
    "another kind": {"kind": "denoiser"},
    "fields that are gone": {"name": None, "licence": None},
}


@pytest.mark.parametrize("change", NEWER)
def test_a_card_of_a_newer_format_says_so_whatever_it_holds(tmp_path: Path, change: str) -> None:
    card = {**VALUES, "format": FORMAT + 1, **NEWER[change]}
    saved(tmp_path, {name: value for name, value in card.items() if value is not None})
    with pytest.raises(InputError, match="saved by a newer FetalStudio"):
        ModelCard.read(tmp_path)


@pytest.mark.parametrize(
    "card",
    [
        "",
        "{",
        "[]",
        "null",
        {},
        VALUES | {"scanner": "any"},
        {name: value for name, value in VALUES.items() if name != "licence"},
        VALUES | {"kind": "denoiser"},
        VALUES | {"kind": ["segmenter"]},
        VALUES | {"format": "2"},
        VALUES | {"format": None},
        VALUES | {"format": True},
    ],
    ids=str,
)
def test_a_damaged_card_is_refused(tmp_path: Path, card: object) -> None:
    with pytest.raises(InputError, match=r"model\.json is damaged: .*Put an intact copy"):
        ModelCard.read(saved(tmp_path, card))


def test_a_folder_without_a_card_holds_no_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no model.*fetalstudio models list"):
        ModelCard.read(tmp_path)


def test_the_file_of_an_added_model_must_stay(tmp_path: Path) -> None:
    assert Source.read(tmp_path) is None
    weights = tmp_path / "sam.pth"
    weights.write_bytes(b"12345")
    source = Source(str(weights), 5, "0" * 64)
    source.write(tmp_path)
    assert Source.read(tmp_path) == source and source.check() == weights
    weights.write_bytes(b"1234")
    with pytest.raises(
        InputError, match=r"was changed since it was added.*models add \S*sam\.pth --name"
    ):
        source.check()
    (tmp_path / SOURCE).write_text("{}")
    with pytest.raises(InputError, match="is damaged"):
        Source.read(tmp_path)


def test_a_copy_index_of_a_newer_format_says_so_whatever_it_holds(tmp_path: Path) -> None:
    with (tmp_path / FILE).open("wb") as stream:
        np.savez(stream, format=np.int32(2), graph=np.zeros(3))
    with pytest.raises(InputError, match="newer FetalStudio"):
        read_neighbours(tmp_path)
