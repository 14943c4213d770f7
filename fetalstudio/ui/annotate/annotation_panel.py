"""The side panel of Annotate: the state of the ellipse, its measurements and its revisions."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from fetalstudio.core.biometry import measure
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.project.store.records import Annotation, Frame, author_in_words, short_author
from fetalstudio.ui import theme
from fetalstudio.ui.annotate.biometry_panel import BiometryPanel
from fetalstudio.ui.annotate.calibration import CalibrationPanel
from fetalstudio.ui.annotate.revision_list import RevisionList
from fetalstudio.ui.canvas import EllipseStyle
from fetalstudio.ui.common.allowing import allow
from fetalstudio.ui.common.elided_label import ElidedLabel
from fetalstudio.ui.worklist import certainty

_WIDTH = 300
_STATE_WORDS = {
    "none": ("To draw", "no ellipse yet"),
    "proposed": ("Proposed", "check and confirm"),
    "draft": ("Draft", "saved, not yet confirmed"),
    "final": ("Final", "confirmed"),
}


class AnnotationPanel(QWidget):
    """The column beside the canvas of the Annotate page."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        theme.style(self, "panel")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.state = QLabel()
        self.state.setTextFormat(Qt.TextFormat.RichText)
        self.by = ElidedLabel()
        self.confirm = theme.style(QPushButton("Confirm, next"), "primary")
        self.confirm.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.convention = QCheckBox("Propose as this cohort is drawn")
        self.convention.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.convention.setToolTip(
            "Proposals run as far outside or inside the skull as the ellipses of the cohort's\n"
            "annotated frames do, from 3 frames on. This holds for proposals in Library, too."
        )
        self.snap = QCheckBox("Snap proposals to the skull")
        self.snap.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.snap.setToolTip(
            "A second look moves each proposed ellipse onto the outer edge of the skull,\n"
            "before it follows how the cohort is drawn."
        )
        self.biometry = BiometryPanel()
        self.calibration = CalibrationPanel()
        self.proposal = self._build_proposal()
        self.revisions = RevisionList()
        column = QVBoxLayout(self)
        column.setContentsMargins(*[2 * theme.SPACE] * 4)
        column.setSpacing(theme.SPACE)
        shown = (self.state, self.by, self.confirm, self.proposal, self.convention, self.snap)
        for widget in shown:
            column.addWidget(widget)
        for title, part in (
            ("Measurements", self.biometry),
            ("Calibration", self.calibration),
            ("Revisions", self.revisions),
        ):
            column.addSpacing(2 * theme.SPACE)
            column.addWidget(theme.style(QLabel(title), "heading"))
            column.addWidget(part, 1 if part is self.revisions else 0)
        purpose = theme.style(QLabel("For research, not for diagnosis"), "dim")
        column.addWidget(purpose)

    def _build_proposal(self) -> QWidget:
        box = QWidget()
        self.proposal_text = QLabel()
        self.proposal_text.setWordWrap(True)
        self.use_button = QPushButton("Use it")
        self.dismiss_button = QPushButton("Dismiss")
        row = QHBoxLayout()
        for button in (self.use_button, self.dismiss_button):
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            row.addWidget(button, 1)
        column = QVBoxLayout(box)
        column.setContentsMargins(0, theme.SPACE, 0, 0)
        column.setSpacing(theme.SPACE)
        column.addWidget(self.proposal_text)
        column.addLayout(row)
        box.hide()
        return box

    def show_annotation(self, annotation: Annotation | None) -> None:
        """Show the state of a frame's newest annotation."""
        held = annotation if annotation is not None and annotation.ellipse is not None else None
        state = held.state if held is not None else "none"
        self._say(
            theme.STATE_COLOURS[state], *_STATE_WORDS[state], dot="○" if held is None else "●"
        )
        # Always one line, so that the button below does not move.
        sure = _sure(held)
        self.by.setText(" " if held is None else f"by {short_author(held.author)}{sure}")
        if held is not None:
            self.by.setToolTip(f"By {author_in_words(held.author)}{sure}")
        allow(self.confirm, "" if held is not None else "There is no ellipse on this frame yet.")
        self.confirm.setText("Next" if state == "final" else "Confirm, next")

    def show_unsaved(self) -> None:
        """Show that the ellipse on screen could not be saved. A notice shows the error itself."""
        self._say(theme.ERROR, "Not saved", "confirm to try again")
        self.by.setText(" ")
        self.confirm.setText("Confirm, next")
        allow(self.confirm)

    def _say(self, colour: str, word: str, meaning: str, dot: str = "●") -> None:
        self.state.setText(
            f'<span style="color:{colour}">{dot}</span>&nbsp; '
            f'<b style="color:{theme.TEXT_BRIGHT}">{word}</b>'
            f'<span style="color:{theme.TEXT_DIM}">, {meaning}</span>'
        )

    def show_proposal(
        self, proposal: Ellipse | None, ellipse: Ellipse | None, frame: Frame
    ) -> None:
        """Compare a proposal with the ellipse of the frame, if any; None hides the proposal."""
        self.proposal.setVisible(proposal is not None)
        if proposal is None:
            return
        text = "The segmenter proposes the dashed ellipse"
        if ellipse is not None:
            text += f": Dice with yours {proposal.overlap(ellipse):.3f}"
        if ellipse is not None and frame.calibration is not None:
            theirs, yours = (measure(e, frame.calibration).hc_mm for e in (proposal, ellipse))
            text += f", HC {theirs - yours:+.1f} mm"
        self.proposal_text.setText(text + ".")


def scrolling(panel: AnnotationPanel) -> QScrollArea:
    """The panel in a column that scrolls where the window is not tall enough."""
    area = QScrollArea()
    area.setWidget(panel)
    area.setWidgetResizable(True)
    area.setFixedWidth(_WIDTH)
    area.setFrameShape(QScrollArea.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    return area


def ellipse_style(annotation: Annotation | None) -> EllipseStyle:
    """Final ellipses have a colour of their own; proposals are dashed, with their confidence."""
    if annotation is None or annotation.state == "draft":
        return EllipseStyle()
    colour = theme.STATE_COLOURS[annotation.state]
    if annotation.state == "final":
        return EllipseStyle(colour)
    sure = "" if annotation.confidence is None else f": {certainty(annotation.confidence)}"
    return EllipseStyle(colour, dashed=True, label=f"proposed{sure}")


def _sure(annotation: Annotation | None) -> str:
    if annotation is None or annotation.confidence is None:
        return ""
    return f", {certainty(annotation.confidence)}"
