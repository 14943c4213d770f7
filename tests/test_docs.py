"""What the documentation names exists: modules, functions, files and the targets of links."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md"))]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
PACKAGES = sorted(path.parent.name for path in (ROOT / "fetalstudio").glob("*/__init__.py"))

_URL = re.compile(r"https?://\S+")
_DOTTED = re.compile(r"\bfetalstudio(?:\.[A-Za-z_]\w*)+")
_SHORT = re.compile(rf"`((?:{'|'.join(PACKAGES)})(?:\.[A-Za-z_]\w*)+)")
"""Without the first part, as in ``core.ellipse``."""
_PATH = re.compile(r"(?<![\w./-])(?:fetalstudio|tests|resources|docs)/[\w./-]*\w/?")
_SHORT_PATH = re.compile(rf"`((?:{'|'.join(PACKAGES)})/[\w./-]*\w/?)`")
"""Without the first part, as in ``core/ellipse.py``."""
_MEMBER = re.compile(r"`([A-Z]\w+)\.([a-z_]\w*)`")
_LINK = re.compile(r"\]\(([\w./-]+)(?:#[^)\s]*)?\)")


def missing(text: str) -> list[str]:
    """The names and paths in ``text`` that this checkout does not have."""
    text = _URL.sub("", text)
    dotted = [*_DOTTED.findall(text), *(f"fetalstudio.{name}" for name in _SHORT.findall(text))]
    # ``project.frames`` and the like are attributes of an open project, not modules.
    dotted = [name for name in dotted if not name.startswith("fetalstudio.project.")]
    absent = [name for name in dotted if not (_defined(name) or (ROOT / name).is_file())]
    absent += [f"{kind}.{name}" for kind, name in _MEMBER.findall(text) if not _has(kind, name)]
    paths = [*_PATH.findall(text), *(f"fetalstudio/{path}" for path in _SHORT_PATH.findall(text))]
    return absent + [path for path in paths if not (ROOT / path).exists()]


def _has(kind: str, name: str) -> bool:
    """Whether our class of this name has this member; true of a class that is not ours."""
    return kind not in _members() or name in _members()[kind]


@functools.cache
def _members() -> dict[str, set[str]]:
    """What each of our classes defines, by its name; those of one name are taken together."""
    members: dict[str, set[str]] = {}
    for module in (ROOT / "fetalstudio").rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                own = members.setdefault(node.name, set())
                for part in ast.walk(node):
                    if isinstance(part, ast.FunctionDef):
                        own.add(part.name)
                    elif isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
                        own.add(part.target.id)
    return members


def _defined(name: str) -> bool:
    """Whether it is a module, a package, or a name that one of them defines or imports."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:count])
        module = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if module.is_file():
            return count == len(parts) or parts[count] in _names_of(module)
    return False


def _names_of(module: Path) -> set[str]:
    """The names at the top level of a module. It is not imported: that takes torch seconds."""
    names: set[str] = set()
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert missing(text) == []
    links = _LINK.findall(text)
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_names_and_paths_that_do_not_exist_are_found() -> None:
    good = "`core.ellipse.Ellipse`, `Ellipse.box`, `Path.exists` and `fetalstudio.core.ellipse`, "
    good += "fetalstudio/core/ellipse.py, `core/ellipse.py`"
    assert missing(good) == []
    bad = "`core.ellipse.Elipse`, fetalstudio.core.elipse and `fetalstudio/core/elipse.py`, "
    bad += "`Ellipse.square`, `core/elipse.py`"
    assert missing(bad) == [
        "fetalstudio.core.elipse",
        "fetalstudio.core.ellipse.Elipse",
        "Ellipse.square",
        "fetalstudio/core/elipse.py",
        "fetalstudio/core/elipse.py",
    ]


def test_the_index_lists_every_page() -> None:
    listed = set(_LINK.findall((ROOT / "docs" / "README.md").read_text()))
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in PAGES if "docs" in path.parts}
    assert sorted(pages - listed - {"README.md"}) == []
