"""The packaged model that a training starts from: an earlier round's, or a foundation model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.engine.packaged_model import PackagedModel
from aiida_sicmlip.science.training.nequip_config import StartingModel, per_type_energies


def load_initial_model(path: str, given: Mapping[str, Any]) -> PackagedModel:
    """Read the package that a training starts from.

    :param given: settings as given, without defaults; species and cutoff are compared.
    :raises InputError: where the package cannot be read, has types that are no elements, or contradicts ``given``.
    """
    model = PackagedModel.load(path)
    strange = [name for name in model.species if name not in atomic_numbers]
    if strange:
        raise InputError(
            f"`initial_model` has the type {strange[0]}, which is no chemical symbol, as frames have them: start "
            "from a model whose types are elements."
        )
    species = given.get("species")
    if species is not None and tuple(species) != model.species:
        raise InputError(
            f"`species` is {', '.join(species)}, but `initial_model` knows {', '.join(model.species)}, in this order: "
            "leave `species` out."
        )
    cutoff = given.get("model", {}).get("cutoff")
    if cutoff is not None and not np.isclose(cutoff, model.cutoff, rtol=0.0, atol=1e-9):
        raise InputError(
            f"`model.cutoff` is {cutoff} A, but `initial_model` was made with {model.cutoff} A: leave it out."
        )
    return model


def starting_model(path: str, model: PackagedModel, frames: Sequence[Atoms]) -> StartingModel:
    """Return the starting point for NequIP from ``model``, with energies of the elements fitted to ``frames``.

    The energies are shifted to fit the model's total energies to the labels, so that the network need not learn another
    zero of energy. Elements that ``frames`` lack are unchanged.
    """
    return StartingModel(path, model.species, model.cutoff, _fitting_energies(model, frames))


def _fitting_energies(model: PackagedModel, frames: Sequence[Atoms]) -> dict[str, float]:
    """Return the model's energies of the elements in ``frames``, eV, shifted; empty where the model has none."""
    before = model.energies_of_elements()
    present = sorted({symbol for frame in frames for symbol in frame.symbols})
    if not before:
        return {}
    counts = np.array([[float(np.sum(frame.symbols == symbol)) for symbol in present] for frame in frames])
    left = np.array([frame.get_potential_energy() - model.compute(frame)[0] for frame in frames])
    moves = per_type_energies(counts, left)
    return {symbol: before[symbol] + float(move) for symbol, move in zip(present, moves, strict=True)}
