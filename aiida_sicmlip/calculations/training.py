"""Training of a potential."""

from __future__ import annotations

import json
from typing import Any

from aiida import orm
from aiida.common.datastructures import CalcInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec

from aiida_sicmlip.calculations.job import SicmlipCalculation
from aiida_sicmlip.calculations.training_checks import check_training
from aiida_sicmlip.calculations.validation import (
    seed_port,
    settings_port,
)
from aiida_sicmlip.common import filenames
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.data.lennard_jones_prior import LennardJonesPriorData
from aiida_sicmlip.data.potential import PotentialData
from aiida_sicmlip.data.training_checkpoint import TrainingCheckpointData
from aiida_sicmlip.science.training.settings import TrainingParameters

FRACTION_OF_WALLTIME = 0.9
"""The training ends by itself after this share of the walltime, so that its best model is still packaged."""


class TrainingCalcJob(SicmlipCalculation):
    """Train an Allegro potential on one data set, watch it on another, and package it as a portable model.

    A training that is interrupted, by its walltime or a kill, returns a ``checkpoint``, from which another calculation
    with otherwise the same inputs continues.
    """

    CACHE_VERSION = 3
    """Raised when the meaning of the outputs changes, so that earlier results are not taken for new ones."""

    SUBCOMMAND = "train"
    STEM = "training"
    WALLTIME = 86400
    INPUT_FILE = filenames.TRAINING_SETTINGS_FILE
    REPORT_FILE = filenames.TRAINING_REPORT_FILE
    WORK = "The training"
    FAILED = "ERROR_TRAINING_FAILED"

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        spec.input("training_set", valid_type=LabelledDataSetData, help="What the model is fitted to.")
        spec.input("validation_set", valid_type=LabelledDataSetData, help="What decides when to stop and what to keep.")
        spec.input(
            "parameters",
            **settings_port(TrainingParameters, completed=False),
        )
        spec.input("seed", **seed_port("Seed of the initial weights and of the order of the data."))
        spec.input(
            "prior",
            valid_type=LennardJonesPriorData,
            required=False,
            help="Pairs that the network learns on top of, where `model.pair_potential` is lennard-jones.",
        )
        spec.input(
            "initial_potential",
            valid_type=PotentialData,
            required=False,
            help="Packaged model to start from, instead of random weights: an earlier one, or a foundation model. "
            "Species, cutoff and all else of the model are its own.",
        )
        spec.input(
            "checkpoint",
            valid_type=TrainingCheckpointData,
            required=False,
            help="State of an interrupted training with the same inputs, to continue from.",
        )

        spec.output(
            "potential",
            valid_type=PotentialData,
            required=False,
            help="The portable model with the lowest validation loss; also where the training is not complete.",
        )
        spec.output(
            "training_curve", valid_type=orm.ArrayData, required=False, help="Loss and errors at each validation."
        )
        spec.output(
            "results", valid_type=orm.Dict, required=False, help="Errors, optimiser steps, reason to stop, versions."
        )
        spec.output(
            "configuration", valid_type=orm.SinglefileData, required=False, help="The complete NequIP configuration."
        )
        spec.output(
            "checkpoint",
            valid_type=TrainingCheckpointData,
            required=False,
            help="State from which an interrupted training can be continued; a complete one returns none.",
        )
        spec.default_output_node = "results"
        cls.define_missing_report(spec)
        define_exit_codes(spec)

    @classmethod
    def validate_inputs(cls, inputs: dict[str, Any], _: Any) -> str | None:
        """Check inputs against each other."""
        try:
            check_training(inputs)
        except InputError as error:
            return str(error)
        return None

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the settings of the training."""
        settings = self.inputs.parameters.get_dict()
        settings["species"] = self.inputs.training_set.species
        copies = [
            (self.inputs.training_set, self.inputs.training_set.filename, filenames.TRAINING_SET_FILE),
            (self.inputs.validation_set, self.inputs.validation_set.filename, filenames.VALIDATION_SET_FILE),
        ]
        if "initial_potential" in self.inputs:
            potential = self.inputs.initial_potential
            # The program compares both with the package, which decides.
            settings |= {"species": potential.species, "model": {"cutoff": potential.cutoff}}
            settings["initial_model"] = filenames.INITIAL_MODEL_FILE
            copies.append((potential, potential.filename, filenames.INITIAL_MODEL_FILE))
        if "checkpoint" in self.inputs:
            for name in (filenames.LAST_CHECKPOINT_FILE, filenames.BEST_CHECKPOINT_FILE):
                copies.append((self.inputs.checkpoint, name, f"{filenames.CHECKPOINT_FOLDER}/{name}"))
            settings["restart_checkpoint"] = f"{filenames.CHECKPOINT_FOLDER}/{filenames.LAST_CHECKPOINT_FILE}"
        settings["seeds"] = {"model": self.inputs.seed.value, "data": self.inputs.seed.value}
        settings["wall_time_limit"] = FRACTION_OF_WALLTIME * self.inputs.metadata.options.max_wallclock_seconds
        settings["training_set"] = filenames.TRAINING_SET_FILE
        settings["validation_set"] = filenames.VALIDATION_SET_FILE
        if "prior" in self.inputs:
            settings["prior"] = filenames.PRIOR_FILE
            with folder.open(filenames.PRIOR_FILE, "w") as handle:
                json.dump(self.inputs.prior.prior().to_dict(), handle, indent=2, sort_keys=True)
        with folder.open(filenames.TRAINING_SETTINGS_FILE, "w") as handle:
            json.dump(settings, handle, indent=2, sort_keys=True)

        return self.job(
            ["--settings", filenames.TRAINING_SETTINGS_FILE],
            copies=[(node.uuid, name, target) for node, name, target in copies],
            retrieve=[
                filenames.TRAINING_CURVE_FILE,
                filenames.NEQUIP_CONFIGURATION_FILE,
            ],
            retrieve_temporarily=[
                filenames.PORTABLE_MODEL_FILE,
                # A pattern, since a training that fails early has none.
                (f"{filenames.CHECKPOINT_FOLDER}/*.ckpt", ".", 1),
            ],
        )


def define_exit_codes(spec: CalcJobProcessSpec) -> None:
    """Define how a training can end. Where memory or time was short, other machines do better: nothing is cached."""
    spec.exit_code(
        210, "ERROR_NO_FORCES", message="The labels have no forces, which a training needs as well as energies: {error}"
    )
    spec.exit_code(
        211,
        "ERROR_UNKNOWN_SPECIES",
        message="The data hold an element that the model does not know. Train from scratch, or start from a model that "
        "knows it. {error}",
    )
    spec.exit_code(302, "ERROR_MODEL_MISSING", message="The training left no packaged model: {error}")
    spec.exit_code(
        400,
        "ERROR_OUT_OF_WALLTIME",
        invalidates_cache=True,
        message="The walltime ended the training after {steps} steps; go on with the output `checkpoint` as an input.",
    )
    spec.exit_code(
        401,
        "ERROR_INTERRUPTED",
        invalidates_cache=True,
        message="The training was interrupted from outside after {steps} steps; go on with the output `checkpoint` as "
        "an input.",
    )
    spec.exit_code(
        402,
        "ERROR_NO_CHECKPOINT",
        invalidates_cache=True,
        message="The walltime ended the training before its first validation, so that there is nothing to go on from: "
        "allow more time (`max_wallclock_seconds`).",
    )
    spec.exit_code(
        410,
        "ERROR_NOT_A_NUMBER",
        message="The loss became not-a-number: lower the learning rate, or look for a broken label. {error}",
    )
    spec.exit_code(
        411,
        "ERROR_OUT_OF_MEMORY",
        invalidates_cache=True,
        message="The training ran out of memory: ask for more (`max_memory_kb`), or make `batch_size` or "
        "`validation_batch_size` smaller or `keep_neighbour_lists` false. {error}",
    )
    spec.exit_code(
        412,
        "ERROR_OUT_OF_GPU_MEMORY",
        invalidates_cache=True,
        message="The training ran out of the GPU's memory: make `batch_size` or `validation_batch_size` smaller, or "
        "take a larger GPU. {error}",
    )
    spec.exit_code(
        500,
        "ERROR_NO_IMPROVEMENT",
        message="No validation has a lower loss ({best:.4g}) than the weights that the training started from "
        "({start:.4g}): change the learning rate, or look at the data.",
    )
