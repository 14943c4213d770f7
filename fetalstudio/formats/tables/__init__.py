"""Tables: their files, and what their columns and rows say about frames."""
