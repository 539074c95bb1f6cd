"""Training of the autoencoder: whole trajectories are held out, and decide when it ends."""

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
    """The loss became infinite or not-a-number."""


@dataclass(frozen=True)
class Epoch:
    """One epoch of a training: losses per frame, the second without noise on the held-out trajectories, if any."""

    epoch: int
    training_loss: float
    held_out_loss: float | None


@dataclass(frozen=True)
class TrainedAutoencoder:
    """Result of a training.

    model: with the weights of the best epoch.
    curve: all epochs.
    held_out: indices of the held-out trajectories.
    variance_explained: of the vectors, for `training` and `held_out` (None where nothing was held out).
    ranges: for each collective variable the least, largest and mean value and the standard deviation, over all frames.
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
    """Return the numbers of the trajectories to train on, and of those to hold out, each ascending.

    :raises InputError: when one trajectory has to be divided.
    """
    if fraction == 0:
        return list(range(count)), []
    if count < 2:
        raise InputError(
            f"`autoencoder.held_out` is {fraction}, but there is {count} trajectory: frames of one trajectory do not "
            f"test one another. Give two trajectories or more, or set `held_out` to 0."
        )
    n_held_out = min(count - 1, max(1, round(fraction * count)))
    shuffled = np.random.Generator(np.random.PCG64(seed)).permutation(count)
    return sorted(int(n) for n in shuffled[n_held_out:]), sorted(int(n) for n in shuffled[:n_held_out])


def train_autoencoder(
    trajectories: Sequence[torch.Tensor],
    settings: AutoencoderSettings,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> TrainedAutoencoder:
    """Train on the vectors (F, P) of several trajectories; equal input gives equal weights on one CPU and torch.

    The random state of torch is left as it was.
    :param on_epoch: called after each epoch.

    :raises InputError: when a trajectory is empty, holds not-a-number or differs in length from the others.
    :raises NotFiniteLossError: when the loss is no longer finite.
    """
    _check_vectors(trajectories)
    trained_on, held_out = split_trajectories(len(trajectories), settings.held_out, settings.seed)
    training = torch.cat([trajectories[number] for number in trained_on])
    testing = torch.cat([trajectories[number] for number in held_out]) if held_out else None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        model = PivAutoencoder(*standardisation(training), settings.hidden, settings.latent)
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
    """Train in place, leave the weights of the best epoch in the model, and return all epochs and the best one."""
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
                f"The loss was no longer finite in epoch {number}: lower `autoencoder.learning_rate`, which is "
                f"{settings.learning_rate}."
            )
        curve.append(epoch)
        if on_epoch is not None:
            on_epoch(epoch)
        # Without held-out trajectories nothing says which epoch is best: the last one counts.
        if held_out_loss is None or held_out_loss < (best.held_out_loss or 0.0):
            best, weights = epoch, copy.deepcopy(model.state_dict())
        elif number - best.epoch >= settings.patience:
            break
    model.load_state_dict(weights)
    return curve, best.epoch


def _check_vectors(trajectories: Sequence[torch.Tensor]) -> None:
    """Raise InputError unless all vectors can be trained on together."""
    if not trajectories:
        raise InputError("There is no trajectory to train on: give at least one.")
    for number, vectors in enumerate(trajectories):
        if not len(vectors):
            raise InputError(f"Trajectory {number} has no frame: leave it out.")
        if vectors.ndim != 2 or vectors.shape[1] != trajectories[0].shape[1]:
            raise InputError(f"Trajectory {number} has vectors of another length than the first: use the same atoms.")
        if not bool(torch.isfinite(vectors).all()):
            raise InputError(f"Trajectory {number} gives vectors that are not finite: leave out its broken frames.")


def _range(values: torch.Tensor) -> dict[str, float]:
    """Return what is said of the values (F,) of one collective variable."""
    found = {"minimum": values.min(), "maximum": values.max(), "mean": values.mean(), "std": values.std(correction=0)}
    return {name: float(value) for name, value in found.items()}
