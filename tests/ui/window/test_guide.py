"""The keys that the pages of the guide list are those of the window."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fetalstudio.ui.session import Session
from fetalstudio.ui.window.main_window import MainWindow
from fetalstudio.ui.window.shortcut_sheet import keys_of

GUIDE = Path(__file__).parents[3] / "docs/guide"
PAGES = {
    "library": ("library",),
    "annotate": ("annotate",),
    "synthesise": ("synthesise",),
    "review": ("review",),
    "readings": ("reading", "agreement", "adjudication"),
}
"""The places and views that each page of the guide is about."""


def listed(page: str) -> set[str]:
    """The keys in the tables ``key | action`` of a page, in small letters."""
    text = (GUIDE / f"{page}.md").read_text(encoding="utf-8")
    keys: set[str] = set()
    for table in re.findall(r"^\| key \| action \|\n\| --- \| --- \|\n((?:\|.*\n)+)", text, re.M):
        for row in table.splitlines():
            cell = row.split(" | ")[0].removeprefix("| ").replace(" (held)", "")
            cell = cell.replace("right drag", "right-drag")
            keys |= {key.lower() for key in re.split(", | or | and ", cell)}
    return keys - {"shift with any of these", "...", "the handles"}


@pytest.mark.parametrize("page", PAGES)
def test_the_keys_of_the_guide_are_those_of_the_window(
    page: str, window: MainWindow, open_session: Session
) -> None:
    held = {key for place in PAGES[page] for key, _ in keys_of(window.page(place))}
    held |= {key for key, _ in keys_of(window, without=tuple(window.pages.values()))}
    known = {part.lower() for keys in held for part in re.split(" or | / ", keys)}
    assert listed(page) and sorted(listed(page) - known) == []
