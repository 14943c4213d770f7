"""Imports: the plan of what a source would bring, what a person decides about it, and storing
it."""
