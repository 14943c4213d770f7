"""Command ``evaluate``."""

from __future__ import annotations

import argparse

from fetalstudio.cli.console import Console, ProblemsFoundError, plain
from fetalstudio.cli.outputs import output_file
from fetalstudio.core.errors import InputError, UserError
from fetalstudio.core.prompts import in_words
from fetalstudio.core.words import counted
from fetalstudio.engine.jobs.evaluate.request import EvaluateRequest, EvaluateResult
from fetalstudio.engine.jobs.evaluate.score_table import write_scores
from fetalstudio.engine.jobs.evaluate.scorecard import cautions, cells, conventions
from fetalstudio.engine.jobs.report.request import ReportRequest


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options other than project, segmenter and cohort."""
    parser.add_argument(
        "--prompt",
        choices=["auto", "box"],
        help="nothing (auto), or the box of the person's ellipse; default what the segmenter is "
        "used with",
    )
    parser.add_argument(
        "--protocol",
        choices=["native", "paper", "both"],
        default="native",
        help="native: at the frames' own size; paper: as the paper's code measures; both",
    )
    parser.add_argument(
        "--held-out",
        action="store_true",
        help="leave out the subjects that the segmenter was trained on",
    )
    parser.add_argument(
        "--snap",
        action="store_true",
        help="measure the ellipses after the second look that moves them onto the skull",
    )
    parser.add_argument(
        "--csv", type=output_file, metavar="FILE", help="write the figures of each frame"
    )
    parser.add_argument(
        "--report", type=output_file, metavar="FILE", help="write everything as one HTML file"
    )


def run(options: argparse.Namespace, console: Console) -> None:
    """Measure, print the figures, and write the files that were asked for."""
    for path in (options.csv, options.report):  # before the evaluation, not after it
        if path is not None and path.is_dir():
            raise InputError(
                f"{path} is a folder. Choose a file name, such as {path / 'scores.csv'}."
            )
    result = console.run(
        EvaluateRequest(
            options.project,
            segmenter=options.segmenter,
            cohort=options.cohort,
            prompt=options.prompt,
            protocol=options.protocol,
            held_out=options.held_out,
            snap=options.snap,
        ),
    )
    lines = [_line(f"{result.segmenter}, {in_words(result.prompt)}, on", result)]
    lines += [_line(f"  {name}:", group) for name, group in result.groups.items()]
    if result.paper is not None:
        lines.append(_line("As the paper's code measures, on", result.paper))
        lines += [_line(f"  {name}:", group) for name, group in result.paper.groups.items()]
    lines += conventions(result)
    lines += cautions(result)
    console.say("\n".join(lines))  # before the files: one that cannot be written costs no figures
    try:
        if options.csv is not None:
            write_scores(options.csv, result.frames)
        if options.report is not None:
            console.run(ReportRequest(options.project, options.report, result))
    except UserError as error:
        raise ProblemsFoundError(str(error), plain(result)) from error
    console.result(result, "")


def _line(beginning: str, result: EvaluateResult) -> str:
    value, interval = cells(result)["Dice"]
    text = (
        f"{beginning} {counted(result.n, 'frame')} of {counted(result.subjects, 'subject')}: "
        f"Dice {value} ({f'95 % interval {interval}' if interval else 'no interval'}), "
        f"median {result.dice['median']:.4f}, min {result.dice['min']:.4f}, "
        f"HD95 {result.hd95_px:.1f} px, ASSD {result.assd_px:.1f} px"
    )
    if result.hc_mae_mm is not None:
        text += f", HC MAE {result.hc_mae_mm:.2f} mm, bias {result.hc_bias_mm:+.2f} mm"
    if result.hc_limits_mm is not None:
        text += " (limits of agreement {:+.1f} to {:+.1f} mm)".format(*result.hc_limits_mm)
    return f"{text}, {counted(result.failures, 'failure')}."
