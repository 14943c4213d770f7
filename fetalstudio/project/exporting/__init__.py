"""Exports, where they lie, and a project to be shared."""
