"""Training of the autoencoder, with early stopping on held-out trajectories."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from aiida_sicmlip.common.exceptions import InputError, ProgramError
from aiida_sicmlip.science.pines.autoencoder import PivAutoencoder, standardisation, variance_explained
from aiida_sicmlip.science.pines.settings import AutoencoderSettings


class NotFiniteLossError(ProgramError):
    """The loss is infinite or not-a-number."""


@dataclass(frozen=True)
class Epoch:
    """An epoch of a training.

    epoch: number, from 1.
    training_loss: mean loss per frame.
    held_out_loss: mean loss per frame of the held-out trajectories, without noise; None if there are none.
    """

    epoch: int
    training_loss: float
    held_out_loss: float | None


@dataclass(frozen=True)
class TrainedAutoencoder:
    """Result of a training.

    model: autoencoder with the weights of the best epoch.
    settings: of the training.
    best_epoch: number of the best epoch, from 1.
    curve: all epochs.
    held_out: indices of the held-out trajectories.
    n_frames: number of frames of each trajectory.
    variance_explained: fraction for `training` and `held_out` frames (None if there are none).
    ranges: minimum, maximum, mean and standard deviation of each collective variable over all frames.
    """

    model: PivAutoencoder
    settings: AutoencoderSettings
    best_epoch: int
    curve: list[Epoch]
    held_out: list[int]
    n_frames: list[int]
    variance_explained: dict[str, float | None]
    ranges: list[dict[str, float]] = field(default_factory=list)


def split_trajectories(count: int, fraction: float, seed: int) -> tuple[list[int], list[int]]:
    """Return the indices of the trajectories to train on and of those to hold out, each ascending.

    :raises InputError: if there is only one trajectory to split.
    """
    if fraction == 0:
        return list(range(count)), []
    if count < 2:
        raise InputError(
            f"`autoencoder.held_out` is {fraction}, but there is only {count} trajectory, whose frames are not "
            f"independent; give at least two trajectories, or set `held_out` to 0."
        )
    n_held_out = min(count - 1, max(1, round(fraction * count)))
    shuffled = np.random.Generator(np.random.PCG64(seed)).permutation(count)
    return sorted(int(n) for n in shuffled[n_held_out:]), sorted(int(n) for n in shuffled[:n_held_out])


def train_autoencoder(
    trajectories: Sequence[torch.Tensor],
    settings: AutoencoderSettings,
    on_epoch: Callable[[Epoch], None] | None = None,
    block_sizes: Sequence[int] | None = None,
) -> TrainedAutoencoder:
    """Train an autoencoder on the vectors of several trajectories.

    Equal inputs give equal weights on the same CPU and version of torch. The random state of torch is not changed.

    :param trajectories: vectors (F, P) of each.
    :param on_epoch: called after each epoch.
    :param block_sizes: entries of each block of the vector; required if these share a standard deviation.
    :raises InputError: if a trajectory is empty, has values that are not finite, or vectors of a different length.
    :raises NotFiniteLossError: if the loss is not finite.
    """
    _check_vectors(trajectories)
    trained_on, held_out = split_trajectories(len(trajectories), settings.held_out, settings.seed)
    training = torch.cat([trajectories[index] for index in trained_on])
    testing = torch.cat([trajectories[index] for index in held_out]) if held_out else None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        mean, std = standardisation(training, settings.standardisation, block_sizes)
        model = PivAutoencoder(mean, std, settings.hidden, settings.latent)
        curve, best_epoch = _fit(model, training, testing, settings, on_epoch)
    model.eval()
    explained = {
        "training": variance_explained(model, training),
        "held_out": None if testing is None else variance_explained(model, testing),
    }
    with torch.no_grad():
        variables = torch.cat([model(vectors) for vectors in trajectories])
    return TrainedAutoencoder(
        model=model,
        settings=settings,
        best_epoch=best_epoch,
        curve=curve,
        held_out=held_out,
        n_frames=[len(vectors) for vectors in trajectories],
        variance_explained=explained,
        ranges=[_range(column) for column in variables.double().T],
    )


def _fit(
    model: PivAutoencoder,
    training: torch.Tensor,
    testing: torch.Tensor | None,
    settings: AutoencoderSettings,
    on_epoch: Callable[[Epoch], None] | None,
) -> tuple[list[Epoch], int]:
    """Train ``model`` in place, restore its best weights, and return all epochs and the number of the best one."""
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    inputs = model.standardise(training)
    tests = None if testing is None else model.standardise(testing)
    curve: list[Epoch] = []
    best = Epoch(0, float("inf"), float("inf"))
    weights = copy.deepcopy(model.state_dict())
    for number in range(1, settings.max_epochs + 1):
        total = 0.0
        for batch in torch.randperm(len(inputs)).split(settings.batch_size):
            noise = torch.randn(len(batch), settings.latent, dtype=inputs.dtype)
            loss = model.loss(inputs[batch], settings.kl_weight, noise)
            optimizer.zero_grad()
            loss.mean().backward()
            optimizer.step()
            total += float(loss.detach().sum())
        with torch.no_grad():
            held_out_loss = None if tests is None else float(model.loss(tests, settings.kl_weight).mean())
        epoch = Epoch(number, total / len(inputs), held_out_loss)
        if not np.isfinite([epoch.training_loss, held_out_loss or 0.0]).all():
            raise NotFiniteLossError(
                f"The loss is not finite in epoch {number}; decrease `autoencoder.learning_rate` "
                f"({settings.learning_rate})."
            )
        curve.append(epoch)
        if on_epoch is not None:
            on_epoch(epoch)
        # Without held-out trajectories the last epoch is taken.
        if held_out_loss is None or held_out_loss < (best.held_out_loss or 0.0):
            best, weights = epoch, copy.deepcopy(model.state_dict())
        elif number - best.epoch >= settings.patience:
            break
    model.load_state_dict(weights)
    return curve, best.epoch


def _check_vectors(trajectories: Sequence[torch.Tensor]) -> None:
    """Raise :class:`InputError` unless the trajectories have finite vectors of the same length."""
    if not trajectories:
        raise InputError("There is no trajectory to train on; give at least one.")
    for number, vectors in enumerate(trajectories):
        if not len(vectors):
            raise InputError(f"Trajectory {number} has no frames; remove it.")
        if vectors.ndim != 2 or vectors.shape[1] != trajectories[0].shape[1]:
            raise InputError(
                f"Trajectory {number} has vectors of a different length from the first; use the same atoms for all."
            )
        if not bool(torch.isfinite(vectors).all()):
            raise InputError(f"Trajectory {number} has vectors that are not finite; remove its invalid frames.")


def _range(values: torch.Tensor) -> dict[str, float]:
    """Return minimum, maximum, mean and standard deviation of the values (F,) of a collective variable."""
    statistics = {
        "minimum": values.min(),
        "maximum": values.max(),
        "mean": values.mean(),
        "std": values.std(correction=0),
    }
    return {name: float(value) for name, value in statistics.items()}
