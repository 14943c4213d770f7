#!/usr/bin/env python3
"""Sets FetalStudio up in `.venv` next to this file, and starts it.

    python3 run.py                  open the window (without a display: go through `demo`)
    python3 run.py demo             the whole loop on the sample frames, headless
    python3 run.py test [ARGS]      the tests, on all cores; ARGS go to pytest
    python3 run.py test -m perf     the tests that measure time, one after another
    python3 run.py check            lint, format, types and layer rules
    python3 run.py COMMAND [ARGS]   any other command of `fetalstudio`; `--help` lists them

Needs nothing but Python: what it lacks it installs, again only where the pinned versions changed.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent
OLDEST, NEWEST = (3, 11), (3, 14)
MOST_WORKERS = 8  # processes of tests: each may take 1.5 GB of memory

CHECKS = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy",),
    ("lint-imports",),
)

# System libraries that Qt's wheels leave to Linux, and the Debian and Ubuntu packages with them.
QT_LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libxkbcommon.so.0": "libxkbcommon0",
}
XCB_LIBRARIES = {
    "libX11-xcb.so.1": "libx11-xcb1",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-render.so.0": "libxcb-render0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-shm.so.0": "libxcb-shm0",
    "libxcb-sync.so.1": "libxcb-sync1",
    "libxcb-xfixes.so.0": "libxcb-xfixes0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
}


def main(arguments: list[str]) -> int:
    base = supported_python()
    if base != sys.executable:
        return subprocess.call([base, str(Path(__file__).resolve()), *arguments])
    if not arguments and not has_display():
        say("There is no display here, so this goes through the demo instead of opening a window.")
        arguments = ["demo"]
    if not arguments:
        need_libraries({**QT_LIBRARIES, **XCB_LIBRARIES})
    elif arguments[0] == "test":
        need_libraries(QT_LIBRARIES)
    python = environment(ROOT)
    if arguments[:1] == ["test"]:
        return subprocess.call(pytest_command(python, arguments[1:]), cwd=ROOT)
    if arguments == ["check"]:
        tools = python.parent
        codes = [subprocess.call([str(tools / tool), *rest], cwd=ROOT) for tool, *rest in CHECKS]
        return 1 if any(codes) else 0
    return start([str(python), "-m", "fetalstudio", *arguments])


def pytest_command(python: Path, arguments: list[str]) -> list[str]:
    """pytest with a worker for each core, or with none where the tests measure time.

    ``-n`` among the arguments chooses another number of workers.
    """
    workers = 0 if "perf" in arguments else min(os.cpu_count() or 1, MOST_WORKERS)
    parallel = ["-n", str(workers), "--dist", "worksteal"] if workers > 1 else []
    return [str(python), "-m", "pytest", *parallel, *arguments]


def start(command: list[str]) -> int:
    """Become the command; on Windows, where that loses the terminal, wait for it instead."""
    if os.name == "nt":
        return subprocess.call(command)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(command[0], command)


# -- Python and the system ----------------------------------------------------------------------


def supported_python() -> str:
    """This Python if it can run FetalStudio, else another on the PATH; ends the program if none."""
    if OLDEST <= sys.version_info[:2] <= NEWEST and struct.calcsize("P") == 8:
        return sys.executable
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found:
            return found
    sys.exit(
        f"FetalStudio needs a 64-bit Python {OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}, "
        f"not the {8 * struct.calcsize('P')}-bit {sys.version.split()[0]} at {sys.executable}. "
        "Install one from https://www.python.org/downloads/ and start run.py with it."
    )


def has_display() -> bool:
    on_desktop = sys.platform in ("win32", "darwin")
    return on_desktop or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def need_libraries(libraries: dict[str, str]) -> None:
    """On Linux, install what Qt lacks where this is root with apt, else say what to install."""
    absent = missing(libraries)
    if not absent:
        return
    packages = [libraries[name] for name in absent]
    say(f"Qt needs system libraries that are not here: {', '.join(absent)}.")
    if sys.platform == "linux" and os.geteuid() == 0 and shutil.which("apt-get"):
        install = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
        for command in (["apt-get", "update"], install):
            subprocess.call(command, stdout=sys.stderr)
        if not missing(libraries):
            return
    sys.exit(
        f"Install them, then start again: sudo apt-get install {' '.join(packages)}\n"
        "(on other distributions: the packages that hold these files)."
    )


def missing(libraries: dict[str, str]) -> list[str]:
    """The names that the dynamic loader of this Linux does not find."""
    return [name for name in libraries if sys.platform == "linux" and not _loads(name)]


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


# -- the virtual environment --------------------------------------------------------------------


def environment(root: Path) -> Path:
    """The Python of ``root/.venv``, with everything installed that pyproject.toml asks for.

    An environment whose installation was interrupted, or whose Python is gone, is made anew.
    """
    venv = root / ".venv"
    python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    ready = venv / "fetalstudio-ready"
    interrupted = venv / "fetalstudio-installing"
    wanted = fingerprint(root)

    def usable() -> bool:
        same = ready.is_file() and ready.read_text(encoding="utf-8") == wanted
        return same and not interrupted.exists() and runs(python, "fetalstudio")

    if usable():
        return python
    with locked(root / ".venv.lock"):
        if usable():  # another start finished it meanwhile
            return python
        fresh = interrupted.exists() or not runs(python, "pip")
        if fresh:
            say(f"Making a Python environment in {venv} ...")
            create(venv)
        interrupted.touch()
        say("Installing FetalStudio's packages. The first time takes minutes and about 2 GB ...")
        if not install(python, root):
            if not fresh:  # pip resolves and downloads before it changes anything.
                interrupted.unlink()
            sys.exit(
                "The packages could not be installed; pip's message is above. Usual causes are no "
                "network, a proxy that pip does not know, or a full disk. Cure it and start again."
            )
        ready.write_text(wanted, encoding="utf-8")
        interrupted.unlink()
    return python


def fingerprint(root: Path) -> str:
    """Changes where what must be installed changes, and where the checkout was moved."""
    digest = hashlib.sha256(str(root).encode())
    for name in ("pyproject.toml", "constraints.txt"):
        digest.update((root / name).read_bytes())
    return digest.hexdigest()


def runs(python: Path, module: str) -> bool:
    """Whether the environment's Python starts and has the module itself (``-I``: not the cwd)."""
    try:
        done = subprocess.run(
            [str(python), "-I", "-c", f"import {module}"], capture_output=True, check=False
        )
    except OSError:
        return False
    return done.returncode == 0


def create(venv: Path) -> None:
    # Not from within the environment that is to be cleared, should that be what runs this.
    base = getattr(sys, "_base_executable", sys.executable)
    command = [base, "-m", "venv", "--clear", str(venv)]
    if subprocess.call(command, stdout=sys.stderr) == 0:
        return
    package = f"python3.{sys.version_info[1]}-venv"
    sys.exit(
        f"Python could not make {venv}; its message is above. On Debian and Ubuntu install "
        f"{package} (sudo apt-get install {package}); elsewhere, or if another program is using "
        "that folder, close it, delete the folder and start again."
    )


def install(python: Path, root: Path) -> bool:
    """Install the checkout, editable, with its development tools. To stderr: stdout is for data."""
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check"]
    command += ["-c", str(root / "constraints.txt"), "-e", f"{root}[dev]"]
    if not sys.stderr.isatty():
        command += ["--quiet", "--progress-bar", "off"]
    return subprocess.call(command, stdout=sys.stderr) == 0


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """One set-up at a time; a second start waits for the first."""
    try:
        file = path.open("w")
    except OSError as error:
        sys.exit(
            f"{path.parent} cannot be written to ({error.strerror}). "
            "Move FetalStudio to a folder of your own and start again."
        )
    with file:
        if sys.platform == "win32":
            import msvcrt

            while True:
                with contextlib.suppress(OSError):  # raised after ten seconds of waiting
                    msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
                    break
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("Interrupted. Start again to go on.")
