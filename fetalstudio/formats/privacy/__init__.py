"""What may identify a patient: text in pictures, names in tables and paths, and what becomes of
them."""
