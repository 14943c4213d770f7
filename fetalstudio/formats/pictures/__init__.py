"""Picture files and volumes: what their headers claim, their pixels, and the notes in synthetic
ones."""
