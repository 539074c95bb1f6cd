"""What has to hold before a loop of active learning stops."""

from __future__ import annotations

from dataclasses import dataclass

from aiida_sicmlip.science.settings import Settings


@dataclass(frozen=True)
class ConvergenceCriteria(Settings):
    """What has to hold before the loop stops; the default is the paper's. A criterion that is null is not asked for."""

    PREFIX = "convergence."

    force_mae: float = 0.1
    """Mean absolute error of force components in eV/A on the training set and on the validation set; both have to be
    below this."""
    energy_mae: float | None = None
    """Mean absolute error of the energy in eV/atom on the training set and on the validation set; both have to be below
    this."""
    exploring_force_mae: float | None = None
    """Force MAE in eV/A of the potential that explored, on the labels that it had not seen; has to be below this."""
    rare_event_score: float | None = None
    """Score P of the forces on migrating atoms of the validation set, from 0 to 1; has to be at least this."""
    novelty: float | None = None
    """Median distance (1 - kernel) of the round's training configurations from the training set before; has to be below
    this: exploration finds nothing new any more."""
    rounds_without_new_defects: int | None = None
    """So many rounds in a row whose labels showed no type of defect that earlier ones had not shown."""
    minimum_rounds: int | None = None
    """A guard: the run does not stop before so many rounds, those of a run that it continues included."""
    diversity: float | None = None
    """A guard: the median distance (1 - kernel) at which the training configurations of a round were picked, each from
    all that was known and picked before it, has to be at least this in this round or an earlier one."""
    relative_diversity: float | None = None
    """A guard: the same median of this or an earlier round, but not of the first, has to be at least this times that of
    the first round. So the run never stops after its first round."""

    def __post_init__(self) -> None:
        self.require_number("force_mae", positive=True)
        for name in ("energy_mae", "exploring_force_mae", "novelty", "diversity", "relative_diversity"):
            if getattr(self, name) is not None:
                self.require_number(name, positive=True)
        for name in ("rounds_without_new_defects", "minimum_rounds"):
            if getattr(self, name) is not None:
                self.require_number(name, positive=True, integer=True)
        if self.rare_event_score is not None:
            self.require_number("rare_event_score", positive=True, at_most=1)
