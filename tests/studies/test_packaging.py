"""The wheel and the packaged program leave the studies out."""

from __future__ import annotations

import ast
import pkgutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pathspec import GitIgnoreSpec

import fetalstudio

ROOT = Path(__file__).parents[2]


def test_the_wheel_holds_every_module_but_the_studies() -> None:
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = configuration["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["packages"] == ["fetalstudio"]
    left_out = GitIgnoreSpec.from_lines(wheel["exclude"])
    modules = [path.relative_to(ROOT) for path in (ROOT / "fetalstudio").rglob("*.py")]
    studies = {path for path in modules if path.parts[1] == "studies"}
    assert {path for path in modules if left_out.match_file(path)} == studies != set()


def test_the_packaged_program_holds_every_module_but_the_studies() -> None:
    tree = ast.parse((ROOT / "fetalstudio.spec").read_text(encoding="utf-8"))
    (hidden,) = (
        node
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "hidden"
    )

    def collect_submodules(
        package: str, filter: Callable[[str], bool] = lambda name: True
    ) -> list[str]:
        """As PyInstaller's, which imports what it lists, but for this package alone."""
        if package != "fetalstudio":
            return []
        names = (m.name for m in pkgutil.walk_packages(fetalstudio.__path__, "fetalstudio."))
        return [name for name in names if filter(name)]

    names: dict[str, Any] = {"collect_submodules": collect_submodules}
    exec(compile(ast.Module([hidden], []), "fetalstudio.spec", "exec"), names)
    every = set(collect_submodules("fetalstudio"))
    listed = {name for name in names["hidden"] if name.startswith("fetalstudio.")}
    studies = {name for name in every if name.startswith("fetalstudio.studies")}
    assert every - listed == studies != set()
