"""The folders of the files that ship with the program and of the user's own files."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import platformdirs


def resources_dir() -> Path:
    """The ``resources`` folder of the packaged program, the installation or the checkout."""
    bundle = getattr(sys, "_MEIPASS", None)
    if bundle is not None:
        return Path(bundle) / "resources"
    package = Path(__file__).resolve().parent
    installed = package / "_resources"
    return installed if installed.is_dir() else package.parent / "resources"


def models_dir() -> Path:
    """The folder of the built-in models: one folder each, with ``model.json`` and weights."""
    return resources_dir() / "models"


def text_detector_path() -> Path:
    """The ONNX model that finds text in a picture: PP-OCRv6's small detector."""
    return resources_dir() / "text_detector" / "PP-OCRv6_det_small.onnx"


def samples_dir() -> Path:
    """The folder of the sample frames in the official HC18 layout, with their attribution."""
    return resources_dir() / "samples"


def wide_samples_dir() -> Path:
    """The folder of the sample frames that are drawn wider than the skull, with the parts, in the
    layout of Hugging Face."""
    return resources_dir() / "wide_samples"


def evidence_dir() -> Path:
    """The folder of what the trials have shown, one JSON file each."""
    return resources_dir() / "evidence"


def icons_dir() -> Path:
    """The folder of the interface's icons."""
    return resources_dir() / "icons"


def user_data_dir() -> Path:
    """The folder for downloaded models and the sample project. It is not created here.

    The environment variable ``FETALSTUDIO_HOME`` names a folder for these and for the settings.
    """
    home = os.environ.get("FETALSTUDIO_HOME")
    if home:
        return Path(home) / "data"
    return platformdirs.user_data_path("FetalStudio", appauthor=False)


def user_config_dir() -> Path:
    """The folder of the window's settings. It is not created here. See :func:`user_data_dir`."""
    home = os.environ.get("FETALSTUDIO_HOME")
    if home:
        return Path(home) / "config"
    return platformdirs.user_config_path("FetalStudio", appauthor=False)
