"""Convergence criteria of the active-learning loop."""

from __future__ import annotations

from dataclasses import dataclass

from aiida_sicmlip.science.settings import Settings, integer, number


@dataclass(frozen=True)
class ConvergenceCriteria(Settings):
    """Criteria that have to be met before the loop stops; null: not applied. The defaults are those of the paper."""

    PREFIX = "convergence."

    force_mae: float = number(
        0.1,
        "upper limit of the mean absolute error of force components on the training set and on the validation set",
        unit="eV/A",
        above=0,
    )
    energy_mae: float | None = number(
        None,
        "upper limit of the mean absolute error of the energy per atom on the training set and on the validation set",
        unit="eV/atom",
        above=0,
    )
    exploring_force_mae: float | None = number(
        None,
        "upper limit of the force MAE of the exploring potential on the new labels, which it was not trained on",
        unit="eV/A",
        above=0,
    )
    rare_event_score: float | None = number(
        None,
        "minimum score P, from 0 to 1, of the forces on migrating atoms of the validation set",
        above=0,
        at_most=1,
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
        None,
        "minimum number of rounds before the run stops, including those of a run that it continues",
        at_least=1,
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
