"""Training of collective variables: `sicmlip cv`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ase import Atoms

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.engine.cv_trajectories import ChosenAtoms, read_frames, read_kept, read_structure
from aiida_sicmlip.engine.errors import NotANumberError
from aiida_sicmlip.engine.reports import read_json
from aiida_sicmlip.science.defects.crystals import typical_bond
from aiida_sicmlip.science.pines.export import write_model
from aiida_sicmlip.science.pines.layout import PivLayout
from aiida_sicmlip.science.pines.piv import permutation_invariant_vectors
from aiida_sicmlip.science.pines.settings import (
    SWITCHING_DISTANCE,
    AutoencoderSettings,
    SwitchingFunction,
    SwitchingSettings,
)
from aiida_sicmlip.science.pines.training import Epoch, NotFiniteLossError, train_autoencoder
from aiida_sicmlip.science.settings import REQUIRED, Settings, group, integer, mapping
from aiida_sicmlip.science.value_tests import is_integer


@dataclass(frozen=True)
class CvTrainingSettings(Settings):
    """Contents of `cv_settings.json`. Where `switching.r0` is null, its distances are those of `--structure`."""

    groups: Mapping[str, Sequence[int]] = mapping(REQUIRED, "atoms that count as identical, by name: indices from 0")
    switching: SwitchingSettings = group(SwitchingSettings, "the switching function")
    autoencoder: AutoencoderSettings = group(AutoencoderSettings, "the autoencoder")
    every: int = integer(1, "train on each n-th frame of each file", at_least=1)
    n_frames: Mapping[str, int] = mapping(
        {}, "number of frames to use of a file, by its path as on the command line; of other files, all"
    )
    kept: Mapping[str, str] = mapping(
        {}, "file (.npy) with the numbers, from 0, of the frames to use of a file, by its path; of other files, all"
    )
    threads: int = integer(
        1, "threads of torch; with another number the weights differ in their last digits", at_least=1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for path, count in self.n_frames.items():
            if not is_integer(count) or count < 1:
                raise InputError(f"`n_frames.{path}` is {count!r}; give a whole number from 1.")


def train(
    settings_file: str | Path,
    trajectories: Sequence[Sequence[Path]],
    report: dict[str, Any],
    *,
    structure: Path | None,
    output: Path,
) -> None:
    """Read trajectories, each a list of its files in order, train, and write the model into the folder ``output``.

    :raises InputError: when the settings or the data cannot be used.
    :raises NotANumberError: when the loss is no longer finite.
    """
    given = read_json(settings_file, "settings file")
    if not isinstance(given, Mapping):
        raise InputError(f"The settings file `{settings_file}` must hold a mapping, with `groups` at least.")
    settings = CvTrainingSettings.from_mapping(given)
    layout = PivLayout.from_groups(settings.groups)
    atoms = None if structure is None else read_structure(structure)
    switching, autoencoder = _switching_function(settings.switching, atoms), settings.autoencoder
    report["settings"] = {**settings.to_dict(), "switching": switching.to_dict()}
    torch.set_num_threads(settings.threads)
    if not output.is_dir():
        raise InputError(f"`--output` names `{output}`, which is no folder: make it first.")

    _refuse_repeated(trajectories)
    given_files = {str(path) for files in trajectories for path in files}
    for name, named in (("n_frames", settings.n_frames), ("kept", settings.kept)):
        unknown = sorted(set(named) - given_files)
        if unknown:
            raise InputError(f"`{name}` names `{unknown[0]}`, which is no trajectory of this run.")
    chosen = ChosenAtoms(layout.atoms, layout.groups, None if atoms is None else atoms.get_chemical_symbols())
    found = [_vectors_of(files, chosen, layout, switching, settings) for files in trajectories]
    vectors = [of_trajectory for of_trajectory in found if len(of_trajectory)]
    report["n_frames"] = [len(found) for found in vectors]
    print(f"{len(vectors)} trajectories, {sum(report['n_frames'])} frames, {len(layout)} distances", flush=True)
    try:
        trained = train_autoencoder(vectors, autoencoder, _print_epoch, layout.block_sizes)
    except NotFiniteLossError as error:
        raise NotANumberError(str(error)) from error
    write_model(output, layout, switching, trained)
    report.update(
        variance_explained=trained.variance_explained,
        best_epoch=trained.best_epoch,
        held_out_trajectories=trained.held_out,
        ranges=trained.ranges,
    )


def _switching_function(settings: SwitchingSettings, structure: Atoms | None) -> SwitchingFunction:
    """Return the switching function; lengths that are not given are those of a structure.

    :raises InputError: when there is none.
    """
    if settings.r0 is not None:
        return settings.in_crystal(0.0)
    if structure is None:
        raise InputError(
            f"`switching.r0` is null, {SWITCHING_DISTANCE:.2f} distances of nearest sites: name a structure to measure "
            "them in with `--structure`, or give r0 in A."
        )
    return settings.in_crystal(typical_bond(structure))


def _refuse_repeated(trajectories: Sequence[Sequence[Path]]) -> None:
    """Raise InputError when a file is named twice: it could be trained on and held out at once."""
    seen: set[Path] = set()
    for path in (path for files in trajectories for path in files):
        if path.resolve() in seen:
            raise InputError(f"The trajectory `{path}` is given twice: name each file once.")
        seen.add(path.resolve())


def _vectors_of(
    files: Sequence[Path],
    chosen: ChosenAtoms,
    layout: PivLayout,
    switching: SwitchingFunction,
    settings: CvTrainingSettings,
) -> torch.Tensor:
    """Return the vectors (F, P) in float32 of each n-th frame of the files of one trajectory."""
    found: list[torch.Tensor] = [torch.empty(0, len(layout))]
    for path in files:
        kept = settings.kept.get(str(path))
        numbers = None if kept is None else read_kept(Path(kept))
        for frames in read_frames(path, chosen, settings.every, settings.n_frames.get(str(path)), numbers):
            positions = torch.from_numpy(frames.positions)
            found.append(permutation_invariant_vectors(positions, frames.cells, frames.pbc, layout, switching).float())
    if len(found) == 1 and not any(str(path) in settings.kept for path in files):
        raise InputError(f"The trajectory `{files[0]}` has no frame: leave it out.")
    return torch.cat(found)


def _print_epoch(epoch: Epoch) -> None:
    held_out = "" if epoch.held_out_loss is None else f"  held out {epoch.held_out_loss:.6f}"
    print(f"epoch {epoch.epoch}  loss {epoch.training_loss:.6f}{held_out}", flush=True)
