"""Pure functions and frozen dataclasses: no Qt, no torch, no disk layout."""
