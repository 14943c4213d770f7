"""The store on disk: the database, the pictures, and what is recorded in them."""
