"""Averaged SOAP descriptors of configurations; selection measures with them how much two configurations differ."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

import numpy as np
from ase import Atoms

from aiida_sicmlip.common.exceptions import InputError

# Frames per call of DScribe: amortises its set-up and bounds the memory.
_CHUNK = 32

Centres = Sequence[int] | Sequence[Sequence[int]]


def averaged_soap(
    frames: Iterable[Atoms],
    species: Sequence[str],
    *,
    r_cut: float = 5.0,
    n_max: int = 8,
    l_max: int = 6,
    sigma: float = 0.5,
    centres: Centres | None = None,
    average: str = "outer",
) -> np.ndarray:
    """Return the SOAP power spectrum of each frame, averaged over its centres and scaled to unit length.

    The dot product of two rows is the similarity of the frames, 1 for equal ones. It is invariant under translation,
    rotation, wrapping and reordering of the atoms (with the centres). For SOAP see Bartok et al., Phys. Rev. B 87,
    184115 (2013), for the average De et al., Phys. Chem. Chem. Phys. 18, 13754 (2016). Computed by DScribe with its
    spherical Gaussian-type orbitals.

    :param frames: periodic configurations; may be a generator, which is consumed a few frames at a time.
    :param species: chemical symbols that may occur, in any order; descriptors are comparable only for equal lists.
    :param r_cut: radius of the environment in A.
    :param n_max: number of radial functions.
    :param l_max: highest angular momentum.
    :param sigma: width of the Gaussians that represent atoms, in A.
    :param centres: atoms to average over: one list for all frames, a list for each frame, or None for all atoms. An
        average over many bulk-like atoms hides the environment of a defect; see
        :class:`~aiida_sicmlip.science.defects.centres.DefectCentres`.
    :param average: `outer`, the mean of the atoms' power spectra (the paper's), or `inner`, the power spectrum of the
        mean expansion coefficients.
    :return: (F, D) float64.
    :raises InputError: when a frame is not periodic or holds a species that is not listed, or the centres do not fit
        the frames.
    """
    if average not in ("outer", "inner"):
        raise InputError(f"`average` is {average!r}: give `outer` or `inner`.")
    soap = _soap(species, r_cut=r_cut, n_max=n_max, l_max=l_max, sigma=sigma, average=average)
    lists = _centre_lists(centres)
    rows: list[np.ndarray] = []
    iterator = iter(frames)
    done = 0
    while chunk := list(itertools.islice(iterator, _CHUNK)):
        chosen = []
        for index, frame in enumerate(chunk, start=done):
            _check_frame(frame, index, species)
            chosen.append(_checked_centres(next(lists, None), frame, index))
        # DScribe repeats the cell up to r_cut, which misses neighbours of atoms outside the cell.
        wrapped = [_wrapped(frame) for frame in chunk]
        result = soap.create(wrapped, centers=chosen)
        rows.append(np.reshape(result, (len(chunk), -1)).astype(np.float64))
        done += len(chunk)
    if not rows:
        return np.empty((0, soap.get_number_of_features()))
    descriptors = np.concatenate(rows)
    return descriptors / np.linalg.norm(descriptors, axis=1, keepdims=True)


def number_of_features(species: Sequence[str], *, r_cut: float, n_max: int, l_max: int, sigma: float) -> int:
    """Return the number of columns of :func:`averaged_soap` for these settings."""
    return int(
        _soap(species, r_cut=r_cut, n_max=n_max, l_max=l_max, sigma=sigma, average="outer").get_number_of_features()
    )


def _soap(species: Sequence[str], *, r_cut: float, n_max: int, l_max: int, sigma: float, average: str) -> Any:
    """Return DScribe's descriptor.

    :raises InputError: when there are no species.
    """
    from dscribe.descriptors import SOAP

    if not species:
        raise InputError("`species` is empty: give the chemical symbols that may occur, such as [Si, C].")
    return SOAP(
        # Sorted, so that the descriptor does not depend on the order in which the user lists them.
        species=sorted(set(species)),
        r_cut=r_cut,
        n_max=n_max,
        l_max=l_max,
        sigma=sigma,
        average=average,
        periodic=True,
    )


def _centre_lists(centres: Centres | None) -> Iterator[Sequence[int]]:
    """Yield the centres of each frame; an empty list means all atoms."""
    if centres is None:
        return itertools.repeat([])
    if not len(centres):
        raise InputError("`centres` is empty: give atoms to average over, or leave it out for all of them.")
    if isinstance(centres[0], (int, np.integer)):
        return itertools.repeat(cast("Sequence[int]", centres))
    if any(not len(cast("Sequence[int]", entry)) for entry in centres):
        raise InputError("`centres` holds an empty list: give at least one atom for each frame.")
    return iter(cast("Sequence[Sequence[int]]", centres))


def _check_frame(frame: Atoms, index: int, species: Sequence[str]) -> None:
    """Raise InputError unless a frame is periodic and holds only the listed species."""
    if not frame.pbc.all():
        raise InputError(f"Frame {index} has the periodicity {frame.pbc.tolist()}: it must be fully periodic.")
    missing = sorted(set(frame.get_chemical_symbols()) - set(species))
    if missing:
        raise InputError(f"Frame {index} holds {', '.join(missing)}, but `species` is {list(species)}: add them.")


def _wrapped(frame: Atoms) -> Atoms:
    """Return species, cell and positions of a frame with all atoms inside the cell."""
    copy = Atoms(numbers=frame.numbers, positions=frame.positions, cell=frame.cell, pbc=True)
    copy.wrap()
    return copy


def _checked_centres(given: Sequence[int] | None, frame: Atoms, index: int) -> list[int]:
    """Return the centres of a frame as a list of indices of its atoms."""
    if given is None:
        raise InputError(f"`centres` has no list for frame {index}: give one for each frame.")
    chosen = [int(centre) for centre in given] or list(range(len(frame)))
    if not chosen or min(chosen) < 0 or max(chosen) >= len(frame):
        raise InputError(f"`centres` of frame {index} has an index outside its atoms, 0 to {len(frame) - 1}.")
    return chosen
