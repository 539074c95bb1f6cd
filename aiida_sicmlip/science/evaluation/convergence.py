"""Convergence criteria of an active learning loop."""

from __future__ import annotations

from dataclasses import dataclass

from aiida_sicmlip.science.settings import Settings, integer, number


@dataclass(frozen=True)
class ConvergenceCriteria(Settings):
    """Criteria to meet before the loop stops; the defaults are the paper's. A criterion that is null is ignored."""

    PREFIX = "convergence."

    force_mae: float = number(
        0.1,
        "mean absolute error of force components on the training set and on the validation set; both have to be below "
        "this",
        unit="eV/A",
        above=0,
    )
    energy_mae: float | None = number(
        None,
        "mean absolute error of the energy per atom on the training set and on the validation set; both have to be "
        "below this",
        unit="eV/atom",
        above=0,
    )
    exploring_force_mae: float | None = number(
        None,
        "force MAE of the exploring potential on the new labels, which it was not trained on; has to be below this",
        unit="eV/A",
        above=0,
    )
    rare_event_score: float | None = number(
        None,
        "score P of the forces on migrating atoms of the validation set, from 0 to 1; has to be at least this",
        above=0,
        at_most=1,
    )
    novelty: float | None = number(
        None,
        "median distance (1 - kernel) of the round's training configurations from the training set before; has to be "
        "below this: exploration finds no new configurations any more",
        above=0,
    )
    rounds_without_new_defects: int | None = integer(
        None,
        "number of consecutive rounds whose labels contain no type of defect that earlier ones did not contain",
        at_least=1,
    )
    minimum_rounds: int | None = integer(
        None,
        "a guard: minimum number of rounds before the run stops, including those of a run that it continues",
        at_least=1,
    )
    diversity: float | None = number(
        None,
        "a guard: the median distance (1 - kernel) at which the training configurations of a round were picked, each "
        "from all that was known and picked before it, has to be at least this in this round or an earlier one",
        above=0,
    )
    relative_diversity: float | None = number(
        None,
        "a guard: the same median of this or an earlier round, but not of the first, has to be at least this times "
        "that of the first round, so that the run never stops after its first round",
        above=0,
    )
