"""Frames of a source, from the record to the pixels, with the ellipses shown and what is in
doubt."""
