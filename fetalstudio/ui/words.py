"""Numbers of things, as a person says them."""

from fetalstudio.core.words import counted

__all__ = ["counted"]
