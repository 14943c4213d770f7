"""Set-up and start: what is reused, what is healed, what is said."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]

Install = Callable[[Path, Path], bool]


@pytest.fixture
def run() -> ModuleType:
    spec = importlib.util.spec_from_file_location("run", ROOT / "run.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def checkout(tmp_path: Path, run: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny checkout; its environments are real, and made without pip's minutes of installing."""
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "constraints.txt").write_text("torch==1\n")
    monkeypatch.setattr(run, "create", lambda path: venv.create(path, clear=True, symlinks=True))
    return tmp_path


def installer(package: str | None = "fetalstudio") -> Install:
    """Stands in for pip: leaves modules in the environment, or fails where there is no package."""

    def install(python: Path, root: Path) -> bool:
        if package is None:
            return False
        query = "import sysconfig; print(sysconfig.get_path('purelib'))"
        found = subprocess.check_output([str(python), "-c", query], text=True)
        for name in (package, "pip"):
            (Path(found.strip()) / f"{name}.py").touch()
        return True

    return install


def counting(
    install: Callable[[Path, Path], bool],
) -> tuple[Callable[[Path, Path], bool], list[Path]]:
    calls: list[Path] = []

    def counted(python: Path, root: Path) -> bool:
        calls.append(python)
        return install(python, root)

    return counted, calls


def test_an_environment_is_made_once_and_reused(
    run: ModuleType, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install, calls = counting(installer())
    monkeypatch.setattr(run, "install", install)
    python = run.environment(checkout)
    assert run.environment(checkout) == python
    assert len(calls) == 1
    assert subprocess.call([str(python), "-I", "-c", "import fetalstudio"]) == 0


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_a_changed_pin_is_installed_into_the_same_environment(
    run: ModuleType, checkout: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    install, calls = counting(installer())
    monkeypatch.setattr(run, "install", install)
    run.environment(checkout)
    kept = checkout / ".venv" / "kept"
    kept.touch()
    (checkout / name).write_text("changed")
    run.environment(checkout)
    run.environment(checkout)
    assert len(calls) == 2
    assert kept.exists()


def test_an_interrupted_installation_is_made_anew(
    run: ModuleType, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(python: Path, root: Path) -> bool:
        installer()(python, root)
        (checkout / ".venv" / "half").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "install", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run.environment(checkout)
    install, calls = counting(installer())
    monkeypatch.setattr(run, "install", install)
    run.environment(checkout)
    assert len(calls) == 1
    assert not (checkout / ".venv" / "half").exists()


def test_a_lost_python_is_made_anew(
    run: ModuleType, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install, calls = counting(installer())
    monkeypatch.setattr(run, "install", install)
    run.environment(checkout).unlink()
    python = run.environment(checkout)
    assert len(calls) == 2
    assert subprocess.call([str(python), "-c", "pass"]) == 0


def test_a_failed_update_keeps_the_environment(
    run: ModuleType, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "install", installer())
    run.environment(checkout)
    kept = checkout / ".venv" / "kept"
    kept.touch()
    (checkout / "constraints.txt").write_text("torch==2\n")
    monkeypatch.setattr(run, "install", installer(None))
    with pytest.raises(SystemExit, match="could not be installed"):
        run.environment(checkout)
    monkeypatch.setattr(run, "install", installer())
    run.environment(checkout)
    assert kept.exists()


def test_an_unsupported_python_is_named(run: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "OLDEST", (3, 98))
    monkeypatch.setattr(run, "NEWEST", (3, 99))
    with pytest.raises(SystemExit, match=r"3\.98 to 3\.99, not the 64-bit .* at "):
        run.supported_python()


def test_this_python_is_taken(run: ModuleType) -> None:
    assert run.supported_python() == sys.executable


@pytest.mark.skipif(sys.platform != "linux", reason="the dynamic loader of Linux")
def test_missing_libraries_are_named_with_their_packages(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run.os, "geteuid", lambda: 1000)
    with pytest.raises(SystemExit, match="apt-get install libabsent1"):
        run.need_libraries({"libc.so.6": "libc6", "libabsent.so.1": "libabsent1"})
    message = capsys.readouterr().err
    assert "libabsent.so.1" in message
    assert "libc.so.6" not in message


def test_without_a_display_the_demo_runs(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(run, "has_display", lambda: False)
    monkeypatch.setattr(run, "environment", lambda root: tmp_path / "python")
    monkeypatch.setattr(run, "start", started.append)
    run.main([])
    run.main(["models", "list", "--json"])
    assert [command[2:] for command in started] == [
        ["fetalstudio", "demo"],
        ["fetalstudio", "models", "list", "--json"],
    ]


@pytest.mark.parametrize(
    ("cores", "arguments", "parallel"),
    [
        (1, [], []),
        (2, ["-x"], ["-n", "2", "--dist", "worksteal"]),
        (64, [], ["-n", "8", "--dist", "worksteal"]),
        (2, ["-m", "perf"], []),
    ],
)
def test_tests_run_on_all_cores_unless_they_measure_time(
    run: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    cores: int,
    arguments: list[str],
    parallel: list[str],
) -> None:
    called: list[list[str]] = []
    monkeypatch.setattr(run.os, "cpu_count", lambda: cores)
    monkeypatch.setattr(run, "need_libraries", lambda libraries: None)
    monkeypatch.setattr(run, "environment", lambda root: tmp_path / "python")
    monkeypatch.setattr(run.subprocess, "call", lambda command, cwd: called.append(command))
    run.main(["test", *arguments])
    assert called == [[str(tmp_path / "python"), "-m", "pytest", *parallel, *arguments]]


def test_run_py_needs_nothing_installed() -> None:
    """``-S`` leaves out site-packages, ``-I`` the checkout."""
    code = f"import runpy; runpy.run_path({str(ROOT / 'run.py')!r}, run_name='checked')"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)


def test_every_installed_package_is_pinned() -> None:
    """What pyproject.toml asks for, and what that asks for, stands in constraints.txt."""
    from importlib.metadata import requires

    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    text = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in text if line and not line.startswith("#")]
    pinned = {canonicalize_name(pin.name) for pin in pins}
    assert all(str(pin.specifier).startswith("==") for pin in pins)
    waiting = [("fetalstudio", frozenset({"dev"}))]
    seen = set(waiting)
    while waiting:
        name, extras = waiting.pop()
        for line in requires(name) or []:
            need = Requirement(line)
            applies = [
                need.marker is None or need.marker.evaluate({"extra": e}) for e in extras or {""}
            ]
            if not any(applies):
                continue
            assert canonicalize_name(need.name) in pinned | {"fetalstudio"}, f"{name} needs {line}"
            key = (need.name, frozenset(need.extras))
            if key not in seen:
                seen.add(key)
                waiting.append(key)
