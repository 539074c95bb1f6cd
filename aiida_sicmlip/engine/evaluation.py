"""Evaluation of a potential on a labelled data set: `sicmlip-potential evaluate`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from aiida_sicmlip.common.exceptions import InputError, nearest_name
from aiida_sicmlip.engine.errors import NotANumberError
from aiida_sicmlip.engine.prediction import Prediction, prediction_errors
from aiida_sicmlip.engine.reports import read_json
from aiida_sicmlip.science.io.labelled_frames import read_labelled_frames


def evaluate(
    dataset: Path,
    output: Path,
    report: dict[str, Any],
    *,
    compiled: Path | None = None,
    classical: Path | None = None,
    device: str = "cpu",
) -> None:
    """Predict all frames of ``dataset`` with a compiled model or a classical potential and fill ``report`` with errors.

    ``output`` (``.npz``) gets ``energies`` (F,) in eV, ``forces`` (sum of n_atoms, 3) in eV/A, frame after frame, and
    ``n_atoms`` (F,). A classical potential has an energy zero of its own, so its energies are compared after the best
    shift of each element; the predictions are written as they are.

    :raises InputError: when a file cannot be used or the data hold an element that the potential does not know.
    :raises NotANumberError: when a prediction is not finite. :raises ProgramError: when LAMMPS or torch fails.
    """
    if (compiled is None) == (classical is None):
        raise InputError("Give either a compiled model or a classical potential.")
    if not dataset.is_file():
        raise InputError(f"The file of labelled frames `{dataset}` does not exist.")
    frames = read_labelled_frames(dataset)
    if compiled is not None:
        report.update(potential="compiled", device=device)
        predictions, species = _predict_compiled(compiled, device, frames)
    else:
        report.update(potential="classical", device="cpu")
        predictions, species = _predict_classical(Path(str(classical)), frames)
    report["species"] = list(species)
    for index, (energy, forces) in enumerate(predictions):
        if not (np.isfinite(energy) and np.isfinite(forces).all()):
            raise NotANumberError(f"The potential predicts energies or forces that are not finite for frame {index}.")
    write_predictions(output, predictions)
    report.update(prediction_errors(frames, predictions, fit_energy_offset=classical is not None))


def write_predictions(path: Path, predictions: Sequence[Prediction]) -> None:
    """Write energies (F,), forces (sum of n_atoms, 3) and n_atoms (F,) as an npz file."""
    with path.open("wb") as handle:
        np.savez(
            handle,
            energies=np.array([energy for energy, _ in predictions]),
            forces=np.concatenate([forces for _, forces in predictions]),
            n_atoms=np.array([len(forces) for _, forces in predictions]),
        )


def _predict_compiled(path: Path, device: str, frames: Sequence[Atoms]) -> tuple[list[Prediction], tuple[str, ...]]:
    # Only who evaluates a model pays for torch.
    from aiida_sicmlip.engine.compiled_potential import CompiledPotential

    potential = CompiledPotential.load(path, device)
    number = {symbol: index for index, symbol in enumerate(potential.species)}

    def predict(frame: Atoms) -> Prediction:
        unknown = sorted(set(frame.symbols) - set(number))
        if unknown:
            raise InputError(f"The model knows {', '.join(number)}, but a frame holds {', '.join(unknown)}.")
        types = [number[symbol] for symbol in frame.symbols]
        result = potential.compute(frame.positions, frame.cell.array, frame.pbc, types)
        return result.energy, result.forces

    return _predict(predict, frames), potential.species


def _predict_classical(path: Path, frames: Sequence[Atoms]) -> tuple[list[Prediction], tuple[str, ...]]:
    from aiida_sicmlip.engine.classical_potential import ClassicalPotential

    species, commands = read_classical_settings(path)
    with ClassicalPotential(species, commands) as potential:
        return _predict(potential.compute, frames), potential.species


def _predict(predict: Callable[[Atoms], Prediction], frames: Sequence[Atoms]) -> list[Prediction]:
    return [predict(frame) for frame in frames]


def read_classical_settings(path: Path) -> tuple[list[str], list[str]]:
    """Read the species (in the order of LAMMPS's types) and the commands of a classical potential.

    :raises InputError: when the file is not of the form ``{"species": [...], "commands": [...]}``.
    """
    settings = read_json(path, "description of a classical potential")
    names = ("species", "commands")
    if not isinstance(settings, dict):
        raise InputError(f"`{path}` must hold a mapping with `species` and `commands`.")
    for key in settings:
        if key not in names:
            raise InputError(f"`{key}` in `{path}` is not known. {nearest_name(key, names)}")
    for name in names:
        value = settings.get(name)
        if not isinstance(value, list) or not value or not all(isinstance(entry, str) for entry in value):
            raise InputError(f"`{name}` in `{path}` must be a list of at least one string, but {value!r} was given.")
    return settings["species"], settings["commands"]
