"""Command ``review``."""

from __future__ import annotations

import argparse
from collections import Counter

from fetalstudio.cli.console import Console
from fetalstudio.core.screening import PairFilter
from fetalstudio.core.words import counted
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import ReviewState


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options other than the project."""
    parser.description = (
        "Accepts the pending pairs that pass and rejects the others. Without a threshold, the "
        "usual ones apply (Dice 0.95, HC within 0.05, edge 0.5). With any threshold, only those "
        "that you give apply. A copy of a training frame never passes, nor does a pair whose "
        "ellipse was found in the synthesizer's own outline with a certainty below 0.5."
    )
    parser.add_argument("--accept-above", type=float, metavar="DICE", help="lowest Dice, 0 to 1")
    parser.add_argument(
        "--hc-within", type=float, metavar="SHARE", help="largest HC difference, such as 0.05"
    )
    parser.add_argument(
        "--edge-above", type=float, metavar="SHARE", help="lowest skull edge, 0 to 1"
    )
    parser.add_argument(
        "--similarity-below", type=float, metavar="R", help="highest similarity to a training frame"
    )
    parser.add_argument("--reviewer", default="command line")


def run(options: argparse.Namespace, console: Console) -> None:
    """Accept or reject all pending pairs, except those that a person corrected."""
    named = (options.accept_above, options.hc_within, options.edge_above, options.similarity_below)
    # Whoever names one threshold decides to leave out the others.
    filter_ = PairFilter() if named == (None,) * 4 else PairFilter(*named)
    counts = {"accepted": 0, "rejected": 0, "copies": 0}
    reasons: Counter[str] = Counter()
    corrected = 0
    with Project.open(options.project) as project, project.transaction():
        for pair in project.pairs.all(state="pending"):
            if pair.corrected:
                corrected += 1
                continue
            verdict = filter_.verdict(pair.quality, pair.copy_threshold)
            state: ReviewState = "accepted" if verdict.passed else "rejected"
            project.pairs.review(pair.id, state, reviewer=options.reviewer)
            counts[state] += 1
            counts["copies"] += verdict.copy
            reasons.update(verdict.reasons[:1])
    for reason, count in reasons.most_common():
        console.say(f"{count} rejected: {reason}")
    if corrected:
        console.say(
            f"{corrected} corrected by hand and left for you to review: no filter decides these."
        )
    console.result(
        counts,
        f"Accepted {counted(counts['accepted'], 'pair')} and rejected {counts['rejected']}.",
    )
