"""Types of options that are checked before a command begins."""

from __future__ import annotations

import argparse
import unicodedata
from pathlib import Path

from fetalstudio.core.names import visible_key
from fetalstudio.project.store.backups import DATABASE

_OWN_FOLDERS = ("frames", "models")


def output_file(text: str) -> Path:
    """The type of an option that names a file to write.

    Raises ``argparse.ArgumentTypeError`` for what a project keeps itself: its database with the
    backups, its frames and its models. Writing there would destroy the project.
    """
    path = Path(text)
    resolved = path.resolve()
    for folder in resolved.parents:
        own = resolved.relative_to(folder).parts[0].casefold()
        if (own.startswith(DATABASE) or own in _OWN_FOLDERS) and (folder / DATABASE).is_file():
            raise argparse.ArgumentTypeError(
                f"{path} belongs to the project {folder}, which would be destroyed. Choose a file "
                "outside of the project, or in its folder exports"
            )
    return path


def author(text: str) -> str:
    """The type of the option that names who does it, for the log.

    Raises ``argparse.ArgumentTypeError`` for an empty name or one with characters that cannot be
    seen, which could forge lines of the log.
    """
    name = visible_key(text)
    if not name or name != unicodedata.normalize("NFC", text).strip():
        raise argparse.ArgumentTypeError("give a name without characters that cannot be seen")
    return name
