"""The layouts of published data sets."""
