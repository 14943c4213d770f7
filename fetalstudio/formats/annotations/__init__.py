"""Annotation files of other programs."""
