"""Estimated costs of a run by round, and the budget that would stop it first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from aiida_sicmlip.science.costs.budgets import Budget
from aiida_sicmlip.science.costs.estimates import (
    COMPILATION,
    SECONDS_PER_VARIABLE_FRAME,
    START_OF_TRAINING,
    Bounds,
    Cell,
    Network,
    descriptor_seconds,
    step_seconds,
    training_frame_seconds,
)
from aiida_sicmlip.science.training.settings import TrainingParameters


@dataclass(frozen=True)
class Walkers:
    """Molecular dynamics runs with the same settings.

    cell: their cell.
    count: number of runs.
    steps: number of steps of each.
    n_frames: number of frames of each.
    check_steps: number of steps between two evaluations of the committee that accompanies them.
    """

    cell: Cell
    count: int
    steps: int
    n_frames: int
    check_steps: int = 10


@dataclass(frozen=True)
class Labels:
    """Labels of a round.

    n_training: number of training labels.
    n_validation: number of validation labels.
    n_fixed: number of labels of the fixed validation set in the first round.
    core_seconds: time of a label on one core.
    cores: number of cores per label.
    concurrent: number of labels computed at the same time.
    """

    n_training: int
    n_validation: int
    n_fixed: int
    core_seconds: Bounds
    cores: int = 1
    concurrent: int = 1


@dataclass(frozen=True)
class Trainings:
    """Trainings of a round.

    network: size of the network.
    parameters: settings, which determine the number of optimiser steps.
    members: number of potentials of the committee.
    compilations: number of compilations per potential.
    initial_training: size of the training set before the first round.
    initial_validation: size of the validation set before the first round.
    extends_validation: whether the validation set is extended in each round, instead of being replaced.
    trains_on_replaced: whether validation configurations that are replaced become training configurations.
    on_gpu: whether trainings run on a GPU.
    """

    network: Network
    parameters: TrainingParameters
    members: int = 1
    compilations: int = 1
    initial_training: int = 0
    initial_validation: int = 0
    extends_validation: bool = False
    trains_on_replaced: bool = False
    on_gpu: bool = False


@dataclass(frozen=True)
class Workload:
    """Maximum work of a run.

    rounds: maximum number of rounds.
    walkers: walkers of each round.
    unbiased_runs: unbiased runs before the first round, with its potential.
    labels: labels of each round.
    trainings: trainings of each round.
    first_network: network of the potential of the first round; None for a classical potential.
    first_members: number of potentials of its committee.
    biased: whether walkers are biased.
    dynamics_on_gpu: whether walkers with a network run on a GPU.
    n_centres: number of atoms over which descriptors are averaged; None for all.
    n_structures: number of start structures.
    max_variable_frames: maximum number of frames for training collective variables, per structure.
    variable_epochs: maximum number of epochs of that training.
    concurrent: number of walkers that run at the same time.
    final_runs: unbiased runs of a final run, which is counted once, after the last round.
    final_labels: number of labels along them.
    """

    rounds: int
    walkers: Sequence[Walkers]
    unbiased_runs: Sequence[Walkers]
    labels: Labels
    trainings: Trainings
    first_network: Network | None = None
    first_members: int = 1
    biased: bool = True
    dynamics_on_gpu: bool = False
    n_centres: int | None = None
    n_structures: int = 1
    max_variable_frames: int = 0
    final_runs: Sequence[Walkers] = ()
    final_labels: int = 0
    variable_epochs: int = 0
    concurrent: int = 1


@dataclass(frozen=True)
class RoundCosts:
    """Counts and costs of one or more rounds: core hours, GPU hours (`gpu`) and hours of wall time (`wall`)."""

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
        """Return the sum of the costs."""
        return RoundCosts(**{name: getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__})

    def amount_of(self, budget: str) -> Bounds:
        """Return the amount of one of the budgets that is used."""
        exact = Bounds(self.labels, self.labels)
        return {"labels": exact, "dft_core_hours": self.labelling, "gpu_hours": self.gpu, "wall_hours": self.wall}[
            budget
        ]


def costs_by_round(workload: Workload) -> list[RoundCosts]:
    """Return what each round costs, were there as many as allowed, with as many optimiser steps as allowed."""
    return [_costs_of_round(workload, number) for number in range(workload.rounds)]


def total_costs(workload: Workload) -> RoundCosts:
    """Return the maximum costs of all rounds."""
    return sum(costs_by_round(workload), RoundCosts())


def first_exhausted_budget(budget: Budget, rounds: Sequence[RoundCosts]) -> tuple[str, int] | None:
    """Return the budget that would stop a run first, and the round (from 0); None if no budget would.

    Costs are the geometric means of their bounds. If several budgets are exceeded in the same round, the one that is
    exceeded by the largest factor is returned.
    """
    spent = RoundCosts()
    for number, costs in enumerate(rounds):
        spent += costs
        over = {
            name: spent.amount_of(name).middle / limit
            for name, limit in budget.limits.items()
            if spent.amount_of(name).middle > limit
        }
        if over:
            return max(over, key=lambda name: over[name]), number
    return None


def _costs_of_round(workload: Workload, number: int) -> RoundCosts:
    """Return the costs of round ``number``, from 0."""
    network = workload.trainings.network if number else workload.first_network
    members = workload.trainings.members if number else workload.first_members
    dynamics = _dynamics(workload, network, with_unbiased=number == 0, others=members - 1)
    labels = _labels(workload.labels, is_first=number == 0)
    training = _training(workload, number)
    final = _final_run(workload) if number == workload.rounds - 1 else RoundCosts()
    return dynamics + labels + training + final


def _dynamics(workload: Workload, network: Network | None, *, with_unbiased: bool, others: int) -> RoundCosts:
    """Return the costs of the dynamics, the training of its variables and the descriptors of its frames.

    :param others: members of the committee that are evaluated beside the one that drives the walkers.
    """
    on_gpu = workload.dynamics_on_gpu and network is not None
    seconds, longest = Bounds(), Bounds()
    for group, biased in (
        (workload.unbiased_runs if with_unbiased else (), False),
        (workload.walkers, workload.biased),
    ):
        slowest = Bounds()
        for walkers in group:
            each = step_seconds(walkers.cell, network, biased=biased, on_gpu=on_gpu) * walkers.steps
            if others:
                checked = step_seconds(walkers.cell, network, biased=False, on_gpu=on_gpu)
                each += checked * (others * walkers.steps / walkers.check_steps)
            seconds += each * walkers.count
            slowest = max(slowest, each, key=lambda bounds: bounds.high)
        waves = math.ceil(sum(walkers.count for walkers in group) / workload.concurrent)
        longest += slowest * waves
    selection = Bounds()
    for walkers in workload.walkers:
        centres = min(workload.n_centres or walkers.cell.n_atoms, walkers.cell.n_atoms)
        selection += descriptor_seconds(centres) * (walkers.count * walkers.n_frames)
    # Variables are trained on the walkers of the previous round, or on the unbiased runs.
    source = workload.unbiased_runs if with_unbiased else workload.walkers
    n_frames = sum(walkers.count * walkers.n_frames for walkers in source)
    variable_frames = min(n_frames, workload.max_variable_frames * workload.n_structures)
    selection += SECONDS_PER_VARIABLE_FRAME * (variable_frames * workload.variable_epochs)
    all_walkers = [*workload.walkers, *(workload.unbiased_runs if with_unbiased else ())]
    return RoundCosts(
        steps=sum(walkers.count * walkers.steps for walkers in all_walkers),
        frames=sum(walkers.count * walkers.n_frames for walkers in workload.walkers),
        dynamics=Bounds() if on_gpu else seconds * (1 / 3600),
        gpu=seconds * (1 / 3600) if on_gpu else Bounds(),
        selection=selection * (1 / 3600),
        wall=(longest + selection) * (1 / 3600),
    )


def _final_run(workload: Workload) -> RoundCosts:
    """Return the costs of a final run."""
    seconds, slowest = Bounds(), Bounds()
    for walkers in workload.final_runs:
        each = (
            step_seconds(walkers.cell, workload.trainings.network, biased=False, on_gpu=workload.dynamics_on_gpu)
            * walkers.steps
        )
        seconds += each * walkers.count
        slowest = max(slowest, each, key=lambda bounds: bounds.high)
    waves = math.ceil(sum(walkers.count for walkers in workload.final_runs) / workload.concurrent)
    return _costs_of_labels(workload.labels, workload.final_labels) + RoundCosts(
        steps=sum(walkers.count * walkers.steps for walkers in workload.final_runs),
        dynamics=Bounds() if workload.dynamics_on_gpu else seconds * (1 / 3600),
        gpu=seconds * (1 / 3600) if workload.dynamics_on_gpu else Bounds(),
        wall=slowest * (waves / 3600),
    )


def _labels(labels: Labels, *, is_first: bool) -> RoundCosts:
    """Return the costs of the labels of a round."""
    return _costs_of_labels(labels, labels.n_training + labels.n_validation + (labels.n_fixed if is_first else 0))


def _costs_of_labels(labels: Labels, count: int) -> RoundCosts:
    """Return the costs of a number of labels."""
    hours = labels.core_seconds * (1 / 3600)
    waves = math.ceil(count / labels.concurrent)
    return RoundCosts(labels=count, labelling=hours * count, wall=hours * (waves / labels.cores))


def _training(workload: Workload, number: int) -> RoundCosts:
    """Return the costs of the trainings of a round, for all members of a committee."""
    trainings, labels = workload.trainings, workload.labels
    training = trainings.initial_training + (number + 1) * labels.n_training
    validation = labels.n_validation
    if trainings.trains_on_replaced:
        training += trainings.initial_validation + number * labels.n_validation
    if trainings.extends_validation:
        validation = trainings.initial_validation + (number + 1) * labels.n_validation
    # The time per frame is the mean over the walkers.
    per_frame = Bounds()
    for walkers in workload.walkers:
        share = walkers.count / sum(other.count for other in workload.walkers)
        frame = training_frame_seconds(
            walkers.cell, trainings.network, trainings.parameters.batch_size, on_gpu=trainings.on_gpu
        )
        per_frame += frame * share
    length = trainings.parameters.length(training)
    # A validation frame takes about half of the time of a training frame.
    validated = length.passes // length.passes_between_validations * validation
    one = per_frame * (length.passes * training + validated / 2) + START_OF_TRAINING
    compiling = COMPILATION * (trainings.members * trainings.compilations)
    cores = compiling if trainings.on_gpu else one * trainings.members + compiling
    return RoundCosts(
        trainings=trainings.members,
        training_frames=trainings.members * length.passes * training,
        optimiser_steps=trainings.members * length.steps,
        training=cores * (1 / 3600),
        gpu=one * (trainings.members / 3600) if trainings.on_gpu else Bounds(),
        wall=(one + COMPILATION) * (1 / 3600),
    )
