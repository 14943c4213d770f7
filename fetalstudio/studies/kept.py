"""Settings and figures that are kept, so that a study that is interrupted goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fetalstudio.core.errors import InputError
from fetalstudio.formats.files import write_bytes


def kept(path: Path, measure: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    """The plain values in the JSON file ``path``, which is written first if it does not exist.

    They come from the file in either case, so they do not depend on whether they were measured now.
    """
    if not path.exists():
        write_bytes(path, json.dumps(measure(), indent=2).encode())
    found: Mapping[str, Any] = json.loads(path.read_text())
    return found


def same_study(path: Path, settings: Mapping[str, Any]) -> None:
    """Write the settings, or raise :class:`InputError` if the folder has different ones."""
    wanted = json.loads(json.dumps(settings))
    if path.exists() and (found := json.loads(path.read_text())) != wanted:
        names = ", ".join(k for k in wanted if found.get(k) != wanted[k])
        raise InputError(
            f"{path.parent} holds a study with other settings ({names}), whose results cannot be "
            "combined with these. Give the same options, or choose another folder."
        )
    write_bytes(path, json.dumps(wanted, indent=2).encode())
