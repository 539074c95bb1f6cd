"""Evaluation of a potential on a labelled data set: `sicmlip evaluate`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.new_files import new_file
from aiida_sicmlip.engine.classical_potential import ClassicalPotential
from aiida_sicmlip.engine.errors import NotANumberError
from aiida_sicmlip.engine.evaluation_report import Predictions, report_committee, report_regions
from aiida_sicmlip.engine.frames import find_hosts_where_possible, read_hosts
from aiida_sicmlip.engine.labelled_files import read_labelled_file
from aiida_sicmlip.engine.prediction import prediction_errors
from aiida_sicmlip.science.labels.exchange_formats import ImportSettings

#: Energy, eV, forces (N, 3), eV/A, and energies of the atoms (N,), eV, of one frame; None where not available.
AtomicPrediction = tuple[float, NDArray[np.float64], NDArray[np.float64] | None]


def evaluate(
    dataset: Path,
    output: Path,
    report: dict[str, Any],
    *,
    model: Path | None = None,
    classical: Path | None = None,
    committee: Sequence[Path] = (),
    hosts: Sequence[Path] = (),
    device: str = "cpu",
    names: ImportSettings | None = None,
) -> None:
    """Predict all frames of ``dataset`` with a model or a classical potential and fill ``report`` with errors.

    ``output`` (``.npz``) gets, frame after frame, with A atoms in all F frames together: ``energies`` (F,) eV,
    ``forces`` (A, 3) eV/A, ``n_atoms`` (F,), ``atomic_energies`` (A,) eV where the potential gives them, ``region``
    (A,), ``distance_to_defect`` (A,) A and ``near_defect`` (A,), and with a committee ``energy_disagreement`` (F,)
    eV/atom and ``force_disagreement`` (A,) eV/A. A classical potential has another zero of energy, so its energies
    are compared after a fitted shift per element; predictions are written without it.

    :param model: packaged (``.nequip.zip``) or compiled.
    :param committee: models of the other members, for the same device.
    :param hosts: perfect crystals in the cells of the frames; for other cells they are found from the frames. Frames
        that fit none have no regions, and are counted.
    :param names: of energy and forces, where the frames are in a file of another program.
    :raises InputError: when a file cannot be used or the data hold an element that the potential does not know.
    :raises NotANumberError: when a prediction is not finite.
    :raises ProgramError: when LAMMPS or torch fails.
    """
    if (model is None) == (classical is None):
        raise InputError("Give either a model or a classical potential.")
    if committee and model is None:
        raise InputError("A committee is one of models: a classical potential has no other members.")
    frames = read_labelled_file(dataset, names)
    given = read_hosts(hosts)
    if model is not None:
        report.update(potential="packaged" if _is_package(model) else "compiled", device=device)
        predictions, species = _predict_model(model, device, frames)
    else:
        report.update(potential="classical", device="cpu")
        predictions, species = _predict_classical(Path(str(classical)), frames)
    report["species"] = list(species)
    members = [_predict_model(path, device, frames)[0] for path in committee]
    arrays: dict[str, Any] = predictions.arrays()
    errors = prediction_errors(frames, predictions.by_frame(), fit_energy_offset=classical is not None)
    report.update(errors)
    by_region, places = report_regions(
        frames, predictions.forces, find_hosts_where_possible(frames, given), given=set(given)
    )
    report.update(by_region)
    arrays |= places
    if members:
        report["committee"], disagreement = report_committee(
            frames, predictions, members, errors["energy_error_per_frame"]
        )
        arrays |= disagreement
    with new_file(output) as handle:
        np.savez(handle, **arrays)


def _is_package(path: Path) -> bool:
    return path.name.endswith(".nequip.zip")


def _predict_model(path: Path, device: str, frames: Sequence[Atoms]) -> tuple[Predictions, tuple[str, ...]]:
    return _predict_packaged(path, device, frames) if _is_package(path) else _predict_compiled(path, device, frames)


def _predict_packaged(path: Path, device: str, frames: Sequence[Atoms]) -> tuple[Predictions, tuple[str, ...]]:
    from aiida_sicmlip.engine.packaged_model import PackagedModel

    if device != "cpu":
        raise InputError(f"`{path}` is a package, which is evaluated on the cpu: compile it for {device} first.")
    model = PackagedModel.load(path)
    return _predict(lambda frame: (*model.compute(frame), None), frames, f"The model `{path}`"), model.species


def _predict_compiled(path: Path, device: str, frames: Sequence[Atoms]) -> tuple[Predictions, tuple[str, ...]]:
    # torch is slow to import and needed only for a compiled model.
    from aiida_sicmlip.engine.compiled_potential import CompiledPotential

    potential = CompiledPotential.load(path, device)
    number = {symbol: index for index, symbol in enumerate(potential.species)}

    def predict(frame: Atoms) -> AtomicPrediction:
        unknown = sorted(set(frame.symbols) - set(number))
        if unknown:
            raise InputError(f"The model `{path}` knows {', '.join(number)}, but a frame holds {', '.join(unknown)}.")
        types = [number[symbol] for symbol in frame.symbols]
        result = potential.compute(frame.positions, frame.cell.array, frame.pbc, types)
        return result.energy, result.forces, result.atomic_energies

    return _predict(predict, frames, f"The model `{path}`"), potential.species


def _predict_classical(path: Path, frames: Sequence[Atoms]) -> tuple[Predictions, tuple[str, ...]]:
    with ClassicalPotential.load(path) as potential:
        return _predict(potential.compute_atomic, frames, "The potential"), potential.species


def _predict(predict: Callable[[Atoms], AtomicPrediction], frames: Sequence[Atoms], what: str) -> Predictions:
    """Return the predictions of a potential for all frames.

    :param what: name of the potential, for the message.
    :raises NotANumberError: when a prediction is not finite.
    """
    energies, forces, of_atoms = [], [], []
    for index, frame in enumerate(frames):
        energy, force, atomic = predict(frame)
        if not (np.isfinite(energy) and np.isfinite(force).all()):
            raise NotANumberError(f"{what} predicts energies or forces that are not finite for frame {index}.")
        energies.append(energy)
        forces.append(force)
        of_atoms.append(atomic)
    known = [atomic for atomic in of_atoms if atomic is not None]
    return Predictions(
        energies=np.array(energies),
        forces=np.concatenate(forces),
        n_atoms=np.array([len(frame) for frame in frames]),
        atomic_energies=np.concatenate(known) if len(known) == len(frames) else None,
    )
