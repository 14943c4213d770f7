"""A training in words."""

from __future__ import annotations

from fetalstudio.project.records import Run


def run_text(run: Run) -> str:
    """Its name, and what came of it."""
    if run.verdict is not None and run.verdict.get("dice_after") is not None:
        before, after = run.verdict["dice_before"], run.verdict["dice_after"]
        return f"{run.name}\nDice {before:.3f} → {after:.3f}"
    return f"{run.name}\n{run.state}"


def without_verdict(run: Run) -> str:
    """What is said of a run in the place of a verdict."""
    return {
        "running": "The verdict follows when the training ends.",
        "finished": "This run has no verdict.",
        "cancelled": "Stopped before its verdict. Where an epoch was done, it can go on.",
        "failed": "The run failed before its verdict. What it had saved is kept, and it can go on.",
    }[run.state]
