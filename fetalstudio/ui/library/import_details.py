"""What an import makes of the selected files: the picture, the doubts and their answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from fetalstudio.core.words import counted
from fetalstudio.formats.reading.doubts import Doubt, Question
from fetalstudio.project.importing.choices import Choices
from fetalstudio.ui import icons, theme
from fetalstudio.ui.common.breaking_label import BreakingLabel
from fetalstudio.ui.common.elided_label import ElidedLabel
from fetalstudio.ui.library.import_pictures import colours_of
from fetalstudio.ui.library.import_rows import Row, below_source, picture_key
from fetalstudio.ui.library.import_table import ImportModel, draw_fitted
from fetalstudio.ui.library.thumbnails import Thumbnails

_PREVIEW = QSize(1024, 768)
_CHOOSE_FRAME = "It annotates the frame ..."
_HIDDEN = "It may show a name. Choose what may be stored of it to see it."
_CONFIRM, _CHANGE = "Confirm what may be stored of it ...", "Change what is stored of it ..."


class Preview(QWidget):
    """The picture of one row, as large as there is room."""

    def __init__(self, model: ImportModel) -> None:
        super().__init__()
        self._model = model
        self._row: Row | None = None
        self._pictures = Thumbnails(_PREVIEW, self)
        self._pictures.ready.connect(lambda _key: self.update())
        self.setMinimumSize(280, 200)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:
        return QSize(420, 290)

    def show_row(self, row: Row | None) -> None:
        """Show the picture of this row."""
        self._row = row
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(theme.CANVAS))
        row = self._row
        read = None if row is None else self._model.picture_of(row)
        if row is None or read is None:
            if row is not None and row.frame is not None and row.frame.unclear:
                painter.setPen(QColor(theme.TEXT_DIM))
                room = self.rect().adjusted(*[4 * theme.SPACE] * 2, *[-4 * theme.SPACE] * 2)
                flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
                painter.drawText(room, flags, _HIDDEN)
            return
        image = self._pictures.get(picture_key(row), read)
        if image is not None:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            draw_fitted(painter, QRectF(self.rect()), image, row)


class ImportDetails(QWidget):
    """The current row of the table, with what can be chosen for it and for those like it."""

    answered = Signal(str, str, list)
    """A question, its answer, and the keys of the rows that it is for."""
    subject_entered = Signal(str)
    """For the selected rows; empty for the subject that the source gives."""
    left_out = Signal(bool)
    """Whether the selected rows are left out by choice."""
    assigned = Signal(str, str)
    """The key of a picture, and that of the frame which it annotates."""
    clip_asked = Signal(str)
    """The key of a clip: its frames are to be chosen by hand."""
    screen_asked = Signal(str)
    """The fingerprint of a layout: what may be stored of its screens is to be confirmed."""

    def __init__(self, model: ImportModel) -> None:
        super().__init__()
        self._model = model
        self._rows: list[Row] = []
        self._first: Doubt | None = None
        """The doubt that digits answer."""
        self.buttons: list[QPushButton] = []
        """The answers to the first open doubt, in the order of their digits."""
        self.alike = QCheckBox(self)
        self.alike.hide()
        self.preview = Preview(model)
        self.name = ElidedLabel("heading", Qt.TextElideMode.ElideMiddle)
        self.facts = theme.style(BreakingLabel(), "dim")
        self.subject = QLineEdit()
        self.subject.setToolTip(
            "The key of the patient whose frame this is; for all selected rows. Empty: what the "
            "files say"
        )
        self.subject.setAccessibleName("Subject")
        self.subject.editingFinished.connect(self._subject_edited)
        self.leave_out = QPushButton("Leave out")
        self.leave_out.setCheckable(True)
        self.leave_out.setAutoDefault(False)
        self.leave_out.setToolTip(theme.tip("Import the selected frames, or leave them out", "Del"))
        self.leave_out.clicked.connect(self.left_out)
        self._body = QWidget()
        self._parts = QVBoxLayout(self._body)
        self._parts.setContentsMargins(0, 0, theme.SPACE, 0)
        self._parts.setSpacing(theme.SPACE)
        self._build()

    def _build(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.SPACE)
        layout.addWidget(self.preview, 3)
        layout.addWidget(self.name)
        layout.addWidget(self.facts)
        self._fields = QWidget()
        row = QHBoxLayout(self._fields)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.SPACE)
        row.addWidget(QLabel("Subject"))
        row.addWidget(self.subject, 1)
        row.addWidget(self.leave_out)
        layout.addWidget(self._fields)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(self._body)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        layout.addWidget(area, 4)

    def show_rows(
        self, rows: Sequence[Row], choices: Choices, source: str, confirmed: Mapping[str, bool]
    ) -> None:
        """Show the first of these rows, which are selected, under these choices; ``source`` is
        left away from the paths in messages. ``confirmed`` says of each layout that can be
        confirmed whether it was."""
        self._rows = list(rows)
        while (item := self._parts.takeAt(0)) is not None:
            if (part := item.widget()) is not None:
                part.hide()
                part.deleteLater()
        self.buttons = []
        row = rows[0] if rows else None
        self.preview.show_row(row)
        self.name.setText(row.name if row is not None else "")
        self.facts.setText(_facts(rows))
        self._fields.setVisible(row is not None and row.frame is not None)
        if row is None:
            return
        if row.frame is not None:
            shown = {r.frame.subject for r in rows if r.frame is not None}
            self.subject.setText(row.frame.subject if len(shown) == 1 else "")
            self.subject.setPlaceholderText("several" if len(shown) > 1 else "")
            self.leave_out.setChecked(choices.leave_out(row.key, row.frame.clip))
            layout = row.frame.layout
            if layout is not None and layout in confirmed:
                self._parts.addWidget(self._screen_button(layout, confirmed[layout]))
        self._first = (row.open or row.doubts or (None,))[0]
        for doubt in row.doubts:
            given = row.answers(choices).get(doubt.question)
            self._parts.addWidget(self._doubt_panel(row, doubt, given, source))
        for note in row.notes:
            self._parts.addWidget(_note(below_source(note, source)))
        self._parts.addStretch()

    def answer(self, number: int, *, alike: bool) -> None:
        """Choose an answer of the first open doubt by its number, from 1 on."""
        if number <= len(self.buttons):
            if alike:
                self.alike.setChecked(True)
            self.buttons[number - 1].click()

    def focus(self) -> None:
        """Give the keyboard to the first answer, or else to the subject."""
        checked = next((button for button in self.buttons if button.isChecked()), None)
        (checked or (self.buttons[0] if self.buttons else self.subject)).setFocus()

    # -- doubts -----------------------------------------------------------------------------

    def _doubt_panel(self, row: Row, doubt: Doubt, given: str | None, source: str) -> QWidget:
        panel = theme.style(QFrame(), "panel")
        layout = QVBoxLayout(panel)
        layout.setContentsMargins(*[theme.SPACE + 4] * 4)
        layout.setSpacing(theme.SPACE - 2)
        title = theme.style(QLabel(doubt.question.text), "heading")
        layout.addWidget(title)
        said = below_source(doubt.message, source)
        if given is not None and given not in {answer.value for answer in doubt.answers}:
            said += f" Taken: {given.replace(',', ', ')}."
        layout.addWidget(theme.style(BreakingLabel(said), "dim"))
        first = doubt is self._first
        group = QButtonGroup(panel)
        colours = colours_of(doubt)
        alike = self._scope(panel, doubt)
        for number, answer in enumerate(doubt.answers, 1):
            keys = f"{number}" if first and number <= 9 else ""
            shown = f"{keys}   {answer.text}" if keys else answer.text
            button = theme.style(QPushButton(shown), "answer")
            button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            button.setAutoDefault(False)
            button.setCheckable(True)
            button.setChecked(answer.value == given)
            button.setToolTip(
                theme.tip(answer.text, f"{keys}; Ctrl+{keys}: for all alike" if keys else "")
            )
            if answer.value in colours:
                button.setIcon(icons.dot(colours[answer.value]))
            group.addButton(button)
            button.clicked.connect(self._answerer(doubt, answer.value, alike))
            layout.addWidget(button)
            if first:
                self.buttons.append(button)
        if doubt.question is Question.ROLE:
            layout.addWidget(self._frame_box(row))
        if doubt.question is Question.FRAMES:
            by_hand = QPushButton("Choose by hand ...")
            by_hand.setAutoDefault(False)
            by_hand.setToolTip("Shows all frames of the clip, to select those that are imported")
            by_hand.clicked.connect(lambda: self.clip_asked.emit(_about(row, doubt)))
            layout.addWidget(by_hand)
        layout.addWidget(alike)
        if first:
            self.alike = alike
        return panel

    def _screen_button(self, layout: str, confirmed: bool) -> QPushButton:
        """Opens the confirmation of a scanner layout."""
        button = QPushButton(_CHANGE if confirmed else _CONFIRM)
        button.setAutoDefault(False)
        button.setToolTip(
            "Shows a frame of this scanner layout whole, with what is blacked out of all of them"
        )
        button.clicked.connect(lambda: self.screen_asked.emit(layout))
        return button

    def _answerer(self, doubt: Doubt, value: str, alike: QCheckBox) -> Callable[[], None]:
        def answer() -> None:
            among = self._model.rows if alike.isChecked() else self._rows
            keys = dict.fromkeys(_about(row, doubt) for row in among if _is_alike(row, doubt))
            self.answered.emit(doubt.question, value, list(keys))

        return answer

    def _scope(self, panel: QWidget, doubt: Doubt) -> QCheckBox:
        """The box that makes an answer hold for all rows with the same doubt."""
        alike = len({_about(row, doubt) for row in self._model.rows if _is_alike(row, doubt)})
        box = QCheckBox(f"For all {alike} alike", panel)
        box.setToolTip("The answer holds for all files with the same question and the same answers")
        box.setVisible(alike > 1)
        return box

    def _frame_box(self, row: Row) -> QComboBox:
        """Offers the frames that the picture may annotate, those without an ellipse first."""
        box = QComboBox()
        box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        frames = [r for r in self._model.rows if r.frame is not None and r.frame.frame_id]
        frames.sort(key=lambda r: r.ellipse is not None)
        box.addItem(_CHOOSE_FRAME)
        box.addItems([r.key for r in frames])
        box.setToolTip("The frame whose head this picture shows")
        box.setStyleSheet("combobox-popup: 0;")  # a list that scrolls, not one over the screen
        box.setMaxVisibleItems(12)
        box.activated.connect(
            lambda place: self.assigned.emit(row.key, box.itemText(place)) if place else None
        )
        return box

    def _subject_edited(self) -> None:
        subject = self.subject.text().strip()
        shown = {row.frame.subject for row in self._rows if row.frame is not None}
        if shown != {subject} and (subject or len(shown) == 1):
            self.subject_entered.emit(subject)


def _about(row: Row, doubt: Doubt) -> str:
    """The key of what an answer is for: the frame, or the whole clip."""
    clip = row.frame.clip if row.frame is not None else None
    return clip if clip is not None and doubt.question is Question.FRAMES else row.key


def _is_alike(row: Row, doubt: Doubt) -> bool:
    """Whether a row has the same question, with the same answers, and about the same table."""
    values = [answer.value for answer in doubt.answers]
    return any(
        other.question is doubt.question
        and [a.value for a in other.answers] == values
        and (doubt.question is not Question.AXES or other.message == doubt.message)
        for other in row.doubts
    )


def _facts(rows: Sequence[Row]) -> str:
    """What is known of the first row, and how many more are selected."""
    if not rows:
        return "Select a file to see what it is taken for."
    row, frame = rows[0], rows[0].frame
    facts = [row.taken_for]
    if frame is not None and frame.size is not None:
        facts.append(f"{frame.size[0]} x {frame.size[1]} px")
        if frame.calibration is not None:
            x, y = frame.calibration.mm_per_px_x, frame.calibration.mm_per_px_y
            shown = f"{x:.4g}" if x == y else f"{x:.4g} x {y:.4g}"
            facts.append(f"{shown} mm per px ({frame.calibration.source})")
        facts += [f"{name} {value}" for name, value in frame.record.labels.items()]
    if len(rows) > 1:
        facts.append(f"{counted(len(rows), 'file')} selected")
    return " · ".join(facts)


def _note(text: str) -> QLabel:
    label = theme.style(BreakingLabel(text), "warning")
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label
