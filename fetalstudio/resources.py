"""Where the files that come with the program lie, and where the user's own belong."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import platformdirs


def resources_dir() -> Path:
    """The ``resources`` folder: of the packaged program, of the installation or of the checkout."""
    bundle = getattr(sys, "_MEIPASS", None)
    if bundle is not None:
        return Path(bundle) / "resources"
    package = Path(__file__).resolve().parent
    installed = package / "_resources"
    return installed if installed.is_dir() else package.parent / "resources"


def models_dir() -> Path:
    """The built-in models: one folder each, with ``model.json`` and ``*.safetensors``."""
    return resources_dir() / "models"


def samples_dir() -> Path:
    """The sample frames, in the official HC18 layout, with their attribution."""
    return resources_dir() / "samples"


def icons_dir() -> Path:
    """The pictures of the interface."""
    return resources_dir() / "icons"


def user_data_dir() -> Path:
    """Where downloaded models and the sample project go. Not created here.

    ``FETALSTUDIO_HOME`` in the environment puts it and the settings into one folder of that name.
    """
    home = os.environ.get("FETALSTUDIO_HOME")
    if home:
        return Path(home) / "data"
    return platformdirs.user_data_path("FetalStudio", appauthor=False)


def user_config_dir() -> Path:
    """Where the window keeps its settings. Not created here. See :func:`user_data_dir`."""
    home = os.environ.get("FETALSTUDIO_HOME")
    if home:
        return Path(home) / "config"
    return platformdirs.user_config_path("FetalStudio", appauthor=False)
