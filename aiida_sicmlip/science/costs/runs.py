"""What a whole run would do and cost, round by round, and which of its budgets would end it first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from aiida_sicmlip.science.costs.budgets import Budget
from aiida_sicmlip.science.costs.estimates import (
    COMPILATION,
    SECONDS_OF_A_ROW,
    START_OF_TRAINING,
    Bounds,
    Cell,
    Network,
    description_seconds,
    step_seconds,
    training_frame_seconds,
)


@dataclass(frozen=True)
class Walkers:
    """Runs of molecular dynamics of one kind: how many, in which cell, steps and frames of each."""

    cell: Cell
    count: int
    steps: int
    n_frames: int


@dataclass(frozen=True)
class Labels:
    """Labels of a round: those of training and validation, further ones in the first round, and bounds of one's time.

    cores: number of cores of one label.
    at_once: number of labels computed at the same time.
    """

    n_training: int
    n_validation: int
    n_fixed: int
    core_seconds: Bounds
    cores: int = 1
    at_once: int = 1


@dataclass(frozen=True)
class Learning:
    """Trainings: of how many potentials a round, how long, and the sets that the first one extends.

    grows: whether validation sets are extended like the training sets, or replaced.
    compilations: number of compilations a round.
    """

    network: Network
    epochs: int
    batch_size: int
    members: int = 1
    compilations: int = 1
    initial_training: int = 0
    initial_validation: int = 0
    grows: bool = False
    on_gpu: bool = False


@dataclass(frozen=True)
class Workload:
    """Maximum work of a run.

    walkers: walkers of each round. unbiased_runs: unbiased runs before the first round, with its potential.
    first_network: of the potential of the first round; None for a classical one.
    centres: atoms by which a frame is described, for the walkers in their order; None for all of them.
    variables: frames and epochs that variables are learned from at the most, for each structure.
    at_once: walkers that run at the same time.
    """

    rounds: int
    walkers: Sequence[Walkers]
    unbiased_runs: Sequence[Walkers]
    labels: Labels
    learning: Learning
    first_network: Network | None = None
    biased: bool = True
    dynamics_on_gpu: bool = False
    n_centres: int | None = None
    n_structures: int = 1
    most_variable_frames: int = 0
    variable_epochs: int = 0
    at_once: int = 1


@dataclass(frozen=True)
class RoundCosts:
    """Counts and costs of a round, or of several: core hours and GPU hours within bounds, wall time in hours."""

    steps: int = 0
    frames: int = 0
    labels: int = 0
    trainings: int = 0
    training_frames: int = 0
    optimiser_steps: int = 0
    dynamics: Bounds = field(default_factory=Bounds)
    selection: Bounds = field(default_factory=Bounds)
    labelling: Bounds = field(default_factory=Bounds)
    training: Bounds = field(default_factory=Bounds)
    gpu: Bounds = field(default_factory=Bounds)
    wall: Bounds = field(default_factory=Bounds)

    def __add__(self, other: RoundCosts) -> RoundCosts:
        """Return the costs of both."""
        return RoundCosts(**{name: getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__})

    def counted_by(self, budget: str) -> Bounds:
        """Return what one of the budgets counts."""
        exact = Bounds(self.labels, self.labels)
        return {"labels": exact, "dft_core_hours": self.labelling, "gpu_hours": self.gpu, "wall_hours": self.wall}[
            budget
        ]


def costs_by_round(workload: Workload) -> list[RoundCosts]:
    """Return what each round costs, were there as many as allowed, with as many epochs as allowed."""
    return [_costs_of_round(workload, number) for number in range(workload.rounds)]


def total_costs(workload: Workload) -> RoundCosts:
    """Return what all rounds together cost at the most."""
    return sum(costs_by_round(workload), RoundCosts())


def first_budget(budget: Budget, rounds: Sequence[RoundCosts]) -> tuple[str, int] | None:
    """Return which budget would end a run first, and in which round (from 0); None where none would.

    Costs that are known within bounds are taken at the middle of these. Of budgets that end in one round, it is the one
    of which the round would need most beyond what is left.
    """
    spent = RoundCosts()
    for number, costs in enumerate(rounds):
        spent += costs
        over = {
            name: spent.counted_by(name).middle / limit
            for name, limit in budget.limits.items()
            if spent.counted_by(name).middle > limit
        }
        if over:
            return max(over, key=lambda name: over[name]), number
    return None


def _costs_of_round(workload: Workload, number: int) -> RoundCosts:
    """Return what round ``number``, from 0, costs."""
    network = workload.learning.network if number else workload.first_network
    dynamics = _dynamics(workload, network, with_unbiased=number == 0)
    labels = _labels(workload.labels, is_first=number == 0)
    training = _training(workload, number)
    return dynamics + labels + training


def _dynamics(workload: Workload, network: Network | None, *, with_unbiased: bool) -> RoundCosts:
    """Return what exploring costs, learning variables before and describing frames after it."""
    on_gpu = workload.dynamics_on_gpu and network is not None
    seconds, longest = Bounds(), Bounds()
    for group, biased in (
        (workload.unbiased_runs if with_unbiased else (), False),
        (workload.walkers, workload.biased),
    ):
        slowest = Bounds()
        for walkers in group:
            each = step_seconds(walkers.cell, network, biased=biased, on_gpu=on_gpu) * walkers.steps
            seconds += each * walkers.count
            slowest = max(slowest, each, key=lambda bounds: bounds.high)
        waves = math.ceil(sum(walkers.count for walkers in group) / workload.at_once)
        longest += slowest * waves
    selection = Bounds()
    for walkers in workload.walkers:
        centres = min(workload.n_centres or walkers.cell.n_atoms, walkers.cell.n_atoms)
        selection += description_seconds(centres) * (walkers.count * walkers.n_frames)
    # Variables are learned from the walkers of the round before, or from the unbiased_runs.
    source = workload.unbiased_runs if with_unbiased else workload.walkers
    n_frames = sum(walkers.count * walkers.n_frames for walkers in source)
    rows = min(n_frames, workload.most_variable_frames * workload.n_structures)
    selection += SECONDS_OF_A_ROW * (rows * workload.variable_epochs)
    started = [*workload.walkers, *(workload.unbiased_runs if with_unbiased else ())]
    return RoundCosts(
        steps=sum(walkers.count * walkers.steps for walkers in started),
        frames=sum(walkers.count * walkers.n_frames for walkers in workload.walkers),
        dynamics=Bounds() if on_gpu else seconds * (1 / 3600),
        gpu=seconds * (1 / 3600) if on_gpu else Bounds(),
        selection=selection * (1 / 3600),
        wall=(longest + selection) * (1 / 3600),
    )


def _labels(labels: Labels, *, is_first: bool) -> RoundCosts:
    """Return what the labels of a round cost."""
    count = labels.n_training + labels.n_validation + (labels.n_fixed if is_first else 0)
    hours = labels.core_seconds * (1 / 3600)
    waves = math.ceil(count / labels.at_once)
    return RoundCosts(labels=count, labelling=hours * count, wall=hours * (waves / labels.cores))


def _training(workload: Workload, number: int) -> RoundCosts:
    """Return what the trainings of a round cost, those of all members of a committee."""
    learning, labels = workload.learning, workload.labels
    training = learning.initial_training + (number + 1) * labels.n_training
    validation = labels.n_validation
    if learning.grows:
        validation = learning.initial_validation + (number + 1) * labels.n_validation
    # The cell of a frame is any of the walkers'; their mean counts.
    each = Bounds()
    for walkers in workload.walkers:
        share = walkers.count / sum(other.count for other in workload.walkers)
        each += training_frame_seconds(walkers.cell, learning.network, on_gpu=learning.on_gpu) * share
    # A frame that is only looked at costs about half of one that is learned from.
    passes = learning.epochs * (training + validation / 2)
    one = each * passes + START_OF_TRAINING
    compiling = COMPILATION * (learning.members * learning.compilations)
    cores = compiling if learning.on_gpu else one * learning.members + compiling
    return RoundCosts(
        trainings=learning.members,
        training_frames=learning.members * learning.epochs * training,
        optimiser_steps=learning.members * learning.epochs * math.ceil(training / learning.batch_size),
        training=cores * (1 / 3600),
        gpu=one * (learning.members / 3600) if learning.on_gpu else Bounds(),
        wall=(one + COMPILATION) * (1 / 3600),
    )
