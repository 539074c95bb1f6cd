"""A training of files, as `sicmlip train` does it with a protocol: the folder with all that it needs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ase import Atoms

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.filenames import (
    PORTABLE_MODEL_FILE,
    PRIOR_FILE,
    TRAINING_SET_FILE,
    TRAINING_SETTINGS_FILE,
    VALIDATION_SET_FILE,
)
from aiida_sicmlip.engine.labelled_files import read_labelled_file
from aiida_sicmlip.science.labels.comparison import geometry_key
from aiida_sicmlip.science.labels.exchange_formats import ImportSettings
from aiida_sicmlip.science.labels.labelled_frames import write_labelled_frames
from aiida_sicmlip.science.labels.states import charge_in_words, spin_in_words, state_of_frame
from aiida_sicmlip.science.labels.statistics import contents_in_words
from aiida_sicmlip.science.protocol_files import TRAINING_PROTOCOLS, choose_protocol, read_protocols, with_assignments
from aiida_sicmlip.science.training.lennard_jones_fit import LennardJonesSettings, PriorParameters, fit_prior
from aiida_sicmlip.science.training.settings import TrainingSettings

OWN_OPTIONS = ("training_set", "validation_set", "species", "initial_model", "restart_checkpoint")
"""Settings that follow from options of the program."""


def prepare_training(
    output: Path,
    training: Path,
    validation: Path,
    *,
    protocol: str | None = None,
    assignments: Iterable[str] = (),
    initial_model: Path | None = None,
    names: ImportSettings | None = None,
) -> None:
    """Write labelled frames, a prior where one is asked for, and the complete settings of a training into a folder.

    :param output: folder, which is made; it must not hold a potential.
    :param training: labelled frames to learn from: extended XYZ, an ASE database, or ``.npz``.
    :param validation: labelled frames that the model is validated on.
    :param protocol: of trainings; None for the default one.
    :param assignments: settings on top of it, such as ``model.cutoff=4.5``, ``prior.wall_only=true`` or
        ``seeds.model=2``; later ones override earlier ones.
    :param initial_model: package to start from; all of the model is its own.
    :param names: of energy and forces in the files.
    :raises InputError: if a file, the protocol or a setting cannot be used, or a frame is in both sets.
    """
    step = choose_protocol(read_protocols(TRAINING_PROTOCOLS), protocol, "protocol of trainings")["training"]
    chosen = dict(step.get("parameters", {}))
    if initial_model is not None:
        chosen.pop("model", None)
    given = with_assignments({**chosen, "prior": step.get("prior", {})}, assignments)
    for name in OWN_OPTIONS:
        if name in given:
            raise InputError(f"`{name}` is set by an option of the program: leave `--set {name}=...` out.")
    prior = given.pop("prior")
    sets = {"training": read_labelled_file(training, names), "validation": read_labelled_file(validation, names)}
    for name, frames in sets.items():
        print(f"{name} set: {contents_in_words(frames)}", flush=True)
    _check_sets(sets)
    settings = {**given, "training_set": TRAINING_SET_FILE, "validation_set": VALIDATION_SET_FILE}
    if initial_model is None:
        settings["species"] = sorted({symbol for frame in sets["training"] for symbol in frame.symbols})
    else:
        settings["initial_model"] = str(initial_model.absolute())
    complete = TrainingSettings.from_mapping(settings)
    has_prior = initial_model is None and complete.model.pair_potential == "lennard-jones"
    # The prior of the protocol is for the model that the assignments have replaced.
    if not has_prior and "prior" in with_assignments({}, assignments):
        raise InputError("`prior` is set, but `model.pair_potential` is not lennard-jones: leave it out.")
    if (output / PORTABLE_MODEL_FILE).exists():
        raise InputError(f"`{output}` holds a potential already: give another folder to `--output`.")
    output.mkdir(parents=True, exist_ok=True)
    write_labelled_frames(output / TRAINING_SET_FILE, sets["training"])
    write_labelled_frames(output / VALIDATION_SET_FILE, sets["validation"])
    written = complete.to_dict()
    if initial_model is not None:
        written.pop("model")
        written.pop("species")
    if has_prior:
        written["prior"] = PRIOR_FILE
        _write_prior(output / PRIOR_FILE, sets["training"], prior, complete)
    (output / TRAINING_SETTINGS_FILE).write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
    length = complete.length(len(sets["training"]))
    print(
        f"{len(sets['training'])} training and {len(sets['validation'])} validation frames; {length.steps} optimiser "
        f"steps in {length.passes} passes, a validation every {length.validation_steps} steps",
        flush=True,
    )


def _check_sets(sets: Mapping[str, Sequence[Atoms]]) -> None:
    """Raise where a frame is in both sets, or charge or spin, as far as they are known, are not the same in all."""
    known = {geometry_key(frame): index for index, frame in enumerate(sets["training"])}
    for index, frame in enumerate(sets["validation"]):
        other = known.get(geometry_key(frame))
        if other is not None:
            raise InputError(
                f"Frame {index} of the validation set is frame {other} of the training set: validation frames are "
                "never training frames."
            )
    states = [state_of_frame(frame) for frames in sets.values() for frame in frames]
    for name, words in (("charge", charge_in_words), ("spin", spin_in_words)):
        values = {getattr(state, name) for state in states} - {None}
        if len(values) > 1:
            listed = " and ".join(words(value) for value in sorted(values))
            raise InputError(
                f"The frames have the {name} {listed}; a model distinguishes frames only by species and positions: "
                "train on those of one."
            )


def _write_prior(path: Path, frames: Sequence[Atoms], prior: Mapping[str, Any], settings: TrainingSettings) -> None:
    """Fit a prior to the training frames and write its coefficients."""
    PriorParameters.check_given(prior)
    fit = fit_prior(frames, LennardJonesSettings.from_mapping({**prior, "cutoff": settings.model.cutoff}))
    path.write_text(json.dumps(fit.prior.to_dict(), indent=2) + "\n", encoding="utf-8")
