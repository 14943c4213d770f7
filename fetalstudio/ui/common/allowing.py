"""Buttons that say why they cannot be used."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

_WHY_NOT = "why_not"


def allow(button: QWidget, why_not: str = "") -> None:
    """Enable a button, or disable it where there is a reason, which its tooltip then adds."""
    said = f"\n{why_not}" if why_not else ""
    usual = button.toolTip().removesuffix(button.property(_WHY_NOT) or "")
    button.setProperty(_WHY_NOT, said)
    button.setToolTip(f"{usual}{said}")
    button.setEnabled(not why_not)
