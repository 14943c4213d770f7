"""``python -m fetalstudio``, and where the packaged program starts."""

import multiprocessing

if __name__ == "__main__":
    # First of all: a frozen program is started again as the engine's child and must become it here.
    multiprocessing.freeze_support()

    from fetalstudio.cli import main

    raise SystemExit(main())
