"""The command line reference names every option, and none that does not exist."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from fetalstudio.cli.main import COMMANDS, Command
from fetalstudio.core.training_settings import OPTIONS

REFERENCE = (Path(__file__).parents[2] / "docs/guide/commands.md").read_text(encoding="utf-8")
_OPTION = re.compile(r"--[a-z][a-z-]+")
_EVERYWHERE = {"--json", "--help", "--segmenter", "--synthesizer", "--cohort"}
"""Described at the top of the page."""
_BY_HELP = {f"--{name.replace('_', '-')}" for name, option in OPTIONS.items() if option.advanced}
"""For which the page refers to ``--help``."""


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    """The long options of a command and of its actions."""
    found: set[str] = set()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found = found.union(*(options_of(one) for one in action.choices.values()))
        found |= {one for one in action.option_strings if one.startswith("--")}
    return found


def accepted(command: Command) -> set[str]:
    """The options that a command takes besides those of all commands."""
    parser = argparse.ArgumentParser(add_help=False)
    command.options(parser)
    return options_of(parser)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_the_reference_names_every_option(command: Command) -> None:
    sections = re.split(r"^##+ ", REFERENCE, flags=re.MULTILINE)[1:]
    own = [text for text in sections if re.search(rf"`{command.name}[ `]", text.split("\n")[0])]
    own += [text for text in sections if text.lower().startswith(f"{command.name}\n")]
    assert own, f"{command.name} has no section"
    named = set(_OPTION.findall(" ".join(own)))
    assert sorted(accepted(command) - named - _EVERYWHERE - _BY_HELP) == []


def test_the_reference_names_no_option_that_does_not_exist() -> None:
    known = _EVERYWHERE.union(*map(accepted, COMMANDS))
    assert sorted(set(_OPTION.findall(REFERENCE)) - known) == []
