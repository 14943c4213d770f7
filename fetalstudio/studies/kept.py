"""Figures that are kept when they are measured, so that a study that is interrupted goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fetalstudio.formats.files import write_bytes


def kept(path: Path, measure: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    """The plain values in the JSON file ``path``, which is written first if it does not exist.

    They come from the file in either case, so they do not depend on whether they were measured now.
    """
    if not path.exists():
        write_bytes(path, json.dumps(measure(), indent=2).encode())
    found: Mapping[str, Any] = json.loads(path.read_text())
    return found
