"""Convergence criteria of the active-learning loop."""

from __future__ import annotations

from dataclasses import dataclass

from aiida_sicmlip.science.settings import Settings, integer, number


@dataclass(frozen=True)
class ConvergenceCriteria(Settings):
    """Criteria that have to be met before the loop stops; null: not applied.

    The limit of the force MAE is the paper's, the others are ours: a mean over all atoms hides the errors on the few
    that move from site to site, and small errors of a first round mean little.
    """

    PREFIX = "convergence."

    force_mae: float = number(
        0.1,
        "upper limit of the mean absolute error of force components on the training set, the validation set and the "
        "fixed validation set, if there is one",
        unit="eV/A",
        above=0,
    )
    energy_mae: float | None = number(
        None,
        "upper limit of the mean absolute error of the energy per atom on the same sets",
        unit="eV/atom",
        above=0,
    )
    exploring_force_mae: float | None = number(
        0.15,
        "upper limit of the force MAE of the exploring potential on the new labels, which it was not trained on",
        unit="eV/A",
        above=0,
        nullable=True,
    )
    migrating_force_mae: float | None = number(
        0.25,
        "upper limit of the force MAE on migrating atoms, those between two sites, of the fixed validation set (of the "
        "validation set if there is none)",
        unit="eV/A",
        above=0,
        nullable=True,
    )
    surroundings_force_mae: float | None = number(
        0.2,
        "upper limit of the force MAE on the atoms around migrating ones, of the same set",
        unit="eV/A",
        above=0,
        nullable=True,
    )
    rare_event_score: float | None = number(
        0.5,
        "minimum score P, from 0 to 1, of the forces on migrating atoms of the same set",
        above=0,
        at_most=1,
        nullable=True,
    )
    minimum_migrating_atoms: int = integer(
        10,
        "minimum number of migrating atoms in that set; with fewer, the three criteria on them are not met",
        at_least=1,
    )
    novelty: float | None = number(
        None,
        "upper limit of the median distance (1 - kernel) of the round's training configurations from the earlier "
        "training set: exploration no longer finds new configurations",
        above=0,
    )
    rounds_without_new_defects: int | None = integer(
        None,
        "minimum number of consecutive rounds whose labels contain no new type of defect",
        at_least=1,
    )
    minimum_rounds: int | None = integer(
        2,
        "minimum number of rounds before the run stops, including those of a run that it continues",
        at_least=1,
        nullable=True,
    )
    diversity: float | None = number(
        None,
        "minimum of the median distance (1 - kernel) at which the training configurations of a round were picked, each "
        "from the training set and the earlier picks, which this round or an earlier one has to reach",
        above=0,
    )
    relative_diversity: float | None = number(
        None,
        "minimum ratio of the same median of this or an earlier round, but not of the first, to that of the first "
        "round, so that the run never stops after its first round",
        above=0,
    )
