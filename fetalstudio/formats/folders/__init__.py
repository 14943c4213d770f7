"""Folders of frames with masks, rings or tables beside them."""
