"""Buttons and actions that say why they cannot be used."""

from __future__ import annotations

from PySide6.QtGui import QAction
from PySide6.QtWidgets import QWidget

_USUAL, _WHY_NOT = "usual_tip", "why_not"


def allow(widget: QWidget | QAction, why_not: str = "") -> None:
    """Enable a button, a field or an action, or disable it for a reason, which its tooltip then
    adds."""
    usual = usual_tip(widget)
    widget.setProperty(_USUAL, usual)
    widget.setProperty(_WHY_NOT, why_not)
    widget.setToolTip(_with_reason(usual, why_not))
    widget.setEnabled(not why_not)


def set_tip(widget: QWidget | QAction, tip: str) -> None:
    """Give a widget another tooltip, to which the reason why it cannot be used is added, if any."""
    widget.setProperty(_USUAL, tip)
    widget.setToolTip(_with_reason(tip, widget.property(_WHY_NOT) or ""))


def usual_tip(widget: QWidget | QAction) -> str:
    """The tooltip of a widget without the reason why it cannot be used."""
    usual: str | None = widget.property(_USUAL)
    shown = None if usual is None else _with_reason(usual, widget.property(_WHY_NOT) or "")
    # A tooltip that was set in another way meanwhile counts.
    return usual if usual is not None and widget.toolTip() == shown else widget.toolTip()


def _with_reason(usual: str, why_not: str) -> str:
    return f"{usual}\n{why_not}" if why_not else usual
