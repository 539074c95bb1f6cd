"""Where data sets and potentials come from, and what came of a node: explicit joins along known link labels."""

from aiida_sicmlip.tools.lineage.path import PathStep, path_to_calculation
from aiida_sicmlip.tools.lineage.sources import (
    SourceOfLabel,
    labels_of_dataset,
    segments_of_selection,
    segments_of_selections,
)

__all__ = [
    "PathStep",
    "SourceOfLabel",
    "labels_of_dataset",
    "path_to_calculation",
    "segments_of_selection",
    "segments_of_selections",
]
