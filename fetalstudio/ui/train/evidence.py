"""The evidence on which the advice about pairs rests, as a page to read."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QTextBrowser, QVBoxLayout, QWidget

from fetalstudio.core.errors import InputError
from fetalstudio.core.words import counted
from fetalstudio.engine.evidence import Finding, Knowledge, measured, read_evidence
from fetalstudio.engine.jobs.train.advice import Advice, claim_of

_SIZE = (940, 560)
_QUESTIONS = {
    "pairs": "Real frames and pairs, compared with the real frames alone",
    "convention": "Proposals that follow how the cohort is drawn, compared with those that do not",
}

_HEADS = ("Segmenter had learnt", "Learnt from", "Tested on", "Dice", "Claim", "Protocol")
_KNOWS: dict[Knowledge, str] = {
    "nothing": "no heads",
    "heads": "heads elsewhere",
    "cohort": "this cohort",
}


class EvidenceDialog(QDialog):
    """All findings as a page of text, which needs no network."""

    def __init__(self, advice: Advice | None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Do pairs help? The evidence")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(*_SIZE)
        self.page = QTextBrowser()
        self.page.setAccessibleName("Evidence")
        try:
            self.page.setHtml(evidence_page(advice, read_evidence()))
        except InputError as error:
            self.page.setPlainText(str(error))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(self.page)
        layout.addWidget(buttons)


def evidence_page(advice: Advice | None, findings: Sequence[Finding]) -> str:
    """HTML with the advice in full, and a table of the findings for each question."""
    parts = [] if advice is None else [f"<p>{escape(advice.text)}</p>"]
    if not findings:
        parts.append("<p>No trial has been measured.</p>")
    for question, title in _QUESTIONS.items():
        rows = [_row(finding) for finding in findings if finding.question == question]
        if rows:
            head = "".join(f"<th align='left'>{text}</th>" for text in _HEADS)
            parts.append(f"<h3>{title}</h3><table cellpadding='6'><tr>{head}</tr>{''.join(rows)}")
            parts.append("</table>")
    parts.append(
        "<p>To find out on your own frames whether pairs help, use the tab Experiment (H).</p>"
    )
    return "".join(parts)


def _row(finding: Finding) -> str:
    learnt = counted(finding.real, "real frame")
    if finding.pairs:
        learnt += f", {counted(finding.pairs, 'pair')}"
    cells = (
        _KNOWS[finding.knows],
        learnt,
        f"{finding.target} of {counted(finding.subjects, 'subject')}",
        measured(finding),
        claim_of(finding),
        finding.page,
    )
    return f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"
