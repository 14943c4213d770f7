"""The five places of the window."""
