"""Labelled frames as a data set of NequIP, and the statistics that scale a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from nequip.data import AtomicDataDict, from_ase
from nequip.data.dataset import AtomicDataset

from aiida_sicmlip.common.exceptions import InputError, UnknownSpeciesError, nearest_name
from aiida_sicmlip.science.labels.labelled_frames import read_labelled_frames
from aiida_sicmlip.science.training.lennard_jones import PairForces
from aiida_sicmlip.science.training.nequip_config import DatasetStatistics, per_type_energies


def read_training_frames(path: str | Path, species: Sequence[str]) -> list[Atoms]:
    """Read labelled frames for a model of ``species``.

    :raises InputError: if the file does not exist or does not contain labelled frames with finite energies and forces.
    :raises NoForcesError: if it has no forces.
    :raises UnknownSpeciesError: if it contains an element that is not in ``species``.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"The file of labelled frames `{path}` does not exist; give an existing file in the settings.")
    try:
        frames = read_labelled_frames(path)
    except InputError as error:
        # The class of the error selects the exit code: a set without forces has its own.
        raise type(error)(f"`{path}` cannot be used: {error}") from error
    for index, frame in enumerate(frames):
        for symbol in frame.symbols:
            if symbol not in species:
                raise UnknownSpeciesError(
                    f"Frame {index} of `{path}` contains {symbol}, which is not in `species`. "
                    f"{nearest_name(symbol, species)} Add it to `species` or remove the frame."
                )
    return frames


class LabelledFramesDataset(AtomicDataset):
    """A file of labelled frames (``.npz``) for NequIP's data module.

    Numbers are in double precision, as in the file.

    :param keep: apply ``transforms``, of which the neighbour list is expensive, once and keep the result in memory.
    """

    def __init__(self, file_path: str, transforms: Sequence[Callable[..., Any]] = (), keep: bool = True) -> None:
        super().__init__(transforms=list(transforms))
        self._items = [from_ase(frame) for frame in read_labelled_frames(file_path)]
        self._keep = keep
        if keep:
            self._items = [self._transform(item) for item in self._items]

    def __len__(self) -> int:
        return len(self._items)

    def __getitems__(self, indices: Any) -> list[AtomicDataDict.Type]:
        items = self._items[indices] if isinstance(indices, slice) else [self._items[index] for index in indices]
        # A shallow copy, since the model adds its own fields to the mapping.
        return [item.copy() if self._keep else self._transform(item) for item in items]


def dataset_statistics(
    dataset: AtomicDataset, species: Sequence[str], predictions: Sequence[PairForces] | None = None
) -> DatasetStatistics:
    """Return the mean number of neighbours, an energy for each species and the root mean square force of ``dataset``.

    :param predictions: of a prior for each frame, which are subtracted from energies and forces.
    :raises InputError: if one of ``species`` occurs in no frame, so that the model could not be trained for it.
    """
    counts = np.zeros((len(dataset), len(species)))
    energies = np.zeros(len(dataset))
    pairs, squares, components = 0, 0.0, 0
    for index in range(len(dataset)):
        frame = dataset[index]
        types = frame[AtomicDataDict.ATOM_TYPE_KEY].numpy().ravel()
        counts[index] = np.bincount(types, minlength=len(species))
        energies[index] = frame[AtomicDataDict.TOTAL_ENERGY_KEY].item()
        forces = frame[AtomicDataDict.FORCE_KEY].numpy()
        if predictions is not None:
            energies[index] -= predictions[index].energy
            forces = forces - predictions[index].forces
        pairs += frame[AtomicDataDict.EDGE_INDEX_KEY].shape[1]
        squares += float(np.sum(forces**2))
        components += forces.size
    for symbol, count in zip(species, counts.sum(axis=0), strict=True):
        if count == 0:
            raise InputError(
                f"`species` contains {symbol}, but no training frame does; add frames with it, or remove it."
            )
    return DatasetStatistics(
        neighbours=pairs / float(counts.sum()),
        energies=dict(zip(species, per_type_energies(counts, energies).tolist(), strict=True)),
        forces_rms=float(np.sqrt(squares / components)),
    )
