"""The project on disk: one folder with a SQLite store, content-addressed frames and models."""
