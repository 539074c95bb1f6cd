"""What a selection can be asked for, by name: in settings, and on a command line that loads nothing to answer."""

from __future__ import annotations

METHODS = ("farthest-point", "top-k", "random")
"""`farthest-point` is greedy: each pick is the farthest from the reference and from the picks before it. `top-k` takes
the frames farthest from the reference, whatever their distance from each other. `random` is a baseline."""

CENTRES = ("defect", "all")
"""Atoms whose environments a descriptor averages over: those around the defects, or all."""
