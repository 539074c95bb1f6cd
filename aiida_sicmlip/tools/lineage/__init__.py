"""Where data sets and models come from, and what came of a node: explicit joins along known link labels."""

from aiida_sicmlip.tools.lineage.affected import Affected, AffectedModel, AffectedSet, affected_by
from aiida_sicmlip.tools.lineage.configurations import Configuration, configurations_of_dataset
from aiida_sicmlip.tools.lineage.creations import Creation, creations_of_datasets, sizes_of_datasets
from aiida_sicmlip.tools.lineage.history import Lineage, by_round, lineage_of_model
from aiida_sicmlip.tools.lineage.models import Model, model_of_potential, models_of_potentials, portable_model
from aiida_sicmlip.tools.lineage.path import PathStep, path_to_calculation
from aiida_sicmlip.tools.lineage.rounds import RoundOfRun
from aiida_sicmlip.tools.lineage.sources import (
    SourceOfLabel,
    labels_of_dataset,
    segments_of_selection,
    segments_of_selections,
)

__all__ = [
    "Affected",
    "AffectedModel",
    "AffectedSet",
    "Configuration",
    "Creation",
    "Lineage",
    "Model",
    "PathStep",
    "RoundOfRun",
    "SourceOfLabel",
    "affected_by",
    "by_round",
    "configurations_of_dataset",
    "creations_of_datasets",
    "labels_of_dataset",
    "lineage_of_model",
    "model_of_potential",
    "models_of_potentials",
    "path_to_calculation",
    "portable_model",
    "segments_of_selection",
    "segments_of_selections",
    "sizes_of_datasets",
]
