"""Every training option describes itself, and all that read it follow."""

import argparse
import json
from dataclasses import fields, replace
from typing import Any

import pytest

from fetalstudio.cli.train import add_training_settings, chosen_settings
from fetalstudio.core.errors import InputError
from fetalstudio.core.training_settings import OPTIONS, PRESETS, TrainingSettings, settings_of


def parsed(*arguments: str, without: tuple[str, ...] = ()) -> TrainingSettings:
    parser = argparse.ArgumentParser()
    add_training_settings(parser, without=without)
    return chosen_settings(parser.parse_args(arguments))


def flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def another(name: str) -> Any:
    """A value within the bounds that no preset has."""
    option, default = OPTIONS[name], getattr(TrainingSettings(), name)
    return type(default)((2 * option.low + option.high) / 3)


def test_every_field_but_the_recipe_is_an_option() -> None:
    assert [f.name for f in fields(TrainingSettings)] == ["recipe", *OPTIONS]
    for preset, settings in PRESETS.items():
        settings.check()
        assert settings.recipe == preset
        for name, option in OPTIONS.items():
            assert not option.offered or getattr(settings, name) in option.offered


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_is_checked_stored_and_taken_from_the_command_line(name: str) -> None:
    option = OPTIONS[name]
    changed: dict[str, Any] = {name: another(name)}
    given = replace(TrainingSettings(), **changed)
    given.check()
    for wrong in (option.low - 1, option.high + 1, float("nan")):
        with pytest.raises(InputError, match=f"{name} is "):
            changed[name] = wrong
            replace(given, **changed).check()
    assert settings_of(json.loads(json.dumps({"settings": given.stored()}))) == given
    assert parsed(flag(name), repr(another(name))) == given
    with pytest.raises(SystemExit):
        parsed(flag(name), "1", without=(name,))


def test_a_preset_gives_the_options_that_are_not_named() -> None:
    assert parsed() == PRESETS["recommended"]
    paper = parsed("--preset", "paper", "--epochs", "7", "--lora")
    assert paper == replace(PRESETS["paper"], epochs=7, lora=4)
    with pytest.raises(InputError, match="no recipe 'best'"):
        TrainingSettings(recipe="best").check()  # type: ignore[arg-type]  # on purpose


def test_runs_of_earlier_versions_keep_their_settings() -> None:
    flat: dict[str, Any] = {
        "project": None,
        "cohort": "ward",
        "real": 3,
        "epochs": 9,
        "batch": 5,
        "seed": 2,
    }
    flat |= {"learning_rate": 1e-5, "patience": 20, "copies": 1, "recipe": "paper", "lora": 0}
    flat |= {"name": "mine", "resume": None, "kind": "compact", "started_from": "compact"}
    assert settings_of(flat) == replace(PRESETS["paper"], epochs=9, seed=2)
    assert settings_of({"epochs": 4}) == TrainingSettings(epochs=4)
    assert settings_of({}) == TrainingSettings()
