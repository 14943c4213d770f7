"""Values and maths as pure functions and frozen dataclasses. No Qt, no torch, no disk."""
