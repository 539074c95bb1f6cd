"""What has to hold before a loop of active learning stops."""

from __future__ import annotations

from dataclasses import dataclass

from aiida_sicmlip.science.settings import Settings, integer, number


@dataclass(frozen=True)
class ConvergenceCriteria(Settings):
    """What has to hold before the loop stops; the default is the paper's. A criterion that is null is not asked for."""

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
        "force MAE of the potential that explored, on the labels that it had not seen; has to be below this",
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
        "below this: exploration finds nothing new any more",
        above=0,
    )
    rounds_without_new_defects: int | None = integer(
        None,
        "so many rounds in a row whose labels showed no type of defect that earlier ones had not shown",
        at_least=1,
    )
    minimum_rounds: int | None = integer(
        None,
        "a guard: the run does not stop before so many rounds, those of a run that it continues included",
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
