"""Packaged model that a training starts from: that of an earlier round, or a foundation model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ase import Atoms

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.engine.packaged_model import PackagedModel
from aiida_sicmlip.science.training.nequip_config import StartingModel, per_type_energies
from aiida_sicmlip.science.value_tests import is_symbol


def load_initial_model(path: str, given: Mapping[str, Any]) -> PackagedModel:
    """Read the packaged model that a training starts from.

    :param given: settings without defaults, with whose species and cutoff the model is compared.
    :raises InputError: if the package cannot be read, has types that are not elements, or is inconsistent with
        ``given``.
    """
    model = PackagedModel.load(path)
    unknown = [name for name in model.species if not is_symbol(name)]
    if unknown:
        raise InputError(
            f"`initial_model` has the atom type {unknown[0]}, which is not a chemical symbol; start from a model whose "
            "types are elements."
        )
    species = given.get("species")
    if species is not None and tuple(species) != model.species:
        raise InputError(
            f"`species` is {', '.join(species)}, but `initial_model` has {', '.join(model.species)}, in this order; "
            "remove `species`."
        )
    cutoff = given.get("model", {}).get("cutoff")
    if cutoff is not None and not np.isclose(cutoff, model.cutoff, rtol=0.0, atol=1e-9):
        raise InputError(
            f"`model.cutoff` is {cutoff} A, but the cutoff of `initial_model` is {model.cutoff} A; remove it."
        )
    return model


def starting_model(path: str, model: PackagedModel, frames: Sequence[Atoms]) -> StartingModel:
    """Return ``model`` with its energies of elements shifted to fit its total energies to the labels of ``frames``.

    The network then need not learn a different zero of energy. Elements that ``frames`` lack are unchanged.
    """
    return StartingModel(path, model.species, model.cutoff, _shifted_energies(model, frames))


def _shifted_energies(model: PackagedModel, frames: Sequence[Atoms]) -> dict[str, float]:
    """Return the model's energies of the elements in ``frames``, eV, after the shift; empty if the model has none."""
    before = model.energies_of_elements()
    present = sorted({symbol for frame in frames for symbol in frame.symbols})
    if not before:
        return {}
    counts = np.array([[float(np.sum(frame.symbols == symbol)) for symbol in present] for frame in frames])
    errors = np.array([frame.get_potential_energy() - model.compute(frame)[0] for frame in frames])
    shifts = per_type_energies(counts, errors)
    return {symbol: before[symbol] + float(shift) for symbol, shift in zip(present, shifts, strict=True)}
