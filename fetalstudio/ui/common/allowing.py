"""Buttons that say why they cannot be used."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

_WHY_NOT = "why_not"


def allow(widget: QWidget, why_not: str = "") -> None:
    """Enable a button or a field, or disable it for a reason, which its tooltip then adds."""
    said = f"\n{why_not}" if why_not else ""
    usual = widget.toolTip().removesuffix(widget.property(_WHY_NOT) or "")
    widget.setProperty(_WHY_NOT, said)
    widget.setToolTip(f"{usual}{said}")
    widget.setEnabled(not why_not)
