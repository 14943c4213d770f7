"""What following a cohort's convention is worth, for docs/evidence/convention.md.

:mod:`.proposals` measures it for a segmenter's proposals, :mod:`.pairs` looks where the skull lies
in pairs, and :mod:`.fine_tuning` trains with pairs that follow a convention and with pairs that do
not. Each is run with ``python -m``.
"""
