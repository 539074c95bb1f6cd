"""Training of a potential."""

from __future__ import annotations

import json
from typing import Any

from aiida import orm
from aiida.common.datastructures import CalcInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJob, CalcJobProcessSpec

from aiida_sicmlip.calculations.job import job_of_one_program, set_option_defaults
from aiida_sicmlip.calculations.validation import (
    POTENTIAL_PLUGINS,
    sentence_of,
    validate_code_plugin,
    validate_seed,
)
from aiida_sicmlip.common import filenames
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.data.lennard_jones_prior import LennardJonesPriorData
from aiida_sicmlip.data.level_of_theory import require_same_level
from aiida_sicmlip.data.potential import PotentialData
from aiida_sicmlip.science.io.nequip_config import check_prior
from aiida_sicmlip.science.io.training_settings import complete_training_settings, validate_training_settings

RESERVED_SETTINGS = (
    *("seeds", "species", "training_set", "validation_set", "prior"),
    *("wall_time_limit", "restart_checkpoint"),
)
"""Settings of the program that come from other inputs than ``parameters``."""

FRACTION_OF_WALLTIME = 0.9
"""The training ends by itself after this share of the walltime, so that its best model is still packaged."""


def validate_parameters(parameters: dict[str, Any]) -> None:
    """Raise :class:`InputError` where a setting is unknown, out of range or comes from another input."""
    reserved = [key for key in parameters if key in RESERVED_SETTINGS]
    if reserved:
        raise InputError(
            f"`training.parameters.{reserved[0]}` is taken from another input (`seed`, `prior`, the data sets, or the "
            "options of the calculation); leave it out."
        )
    try:
        validate_training_settings(parameters)
    except InputError as error:
        raise InputError(f"in `training.parameters`: {error}") from error


class TrainingCalcJob(CalcJob):
    """Train an Allegro potential on one data set, watch it on another, and package it as a portable model."""

    CACHE_VERSION = 1
    """Raised when the meaning of the outputs changes, so that earlier results are not taken for new ones."""

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        spec.input(
            "code",
            valid_type=orm.AbstractCode,
            validator=validate_code_plugin(POTENTIAL_PLUGINS),
            help="`sicmlip-potential` on the machine that trains.",
        )
        spec.input("training_set", valid_type=LabelledDataSetData, help="What the model is fitted to.")
        spec.input("validation_set", valid_type=LabelledDataSetData, help="What decides when to stop and what to keep.")
        spec.input(
            "parameters",
            valid_type=orm.Dict,
            serializer=orm.to_aiida_type,
            validator=sentence_of(validate_parameters),
            help="Model, loss, optimiser and schedule; see the reference of training settings.",
        )
        spec.input(
            "seed",
            valid_type=orm.Int,
            serializer=orm.to_aiida_type,
            validator=validate_seed,
            help="Seed of the initial weights and of the order of the data.",
        )
        spec.input(
            "prior",
            valid_type=LennardJonesPriorData,
            required=False,
            help="Pairs that the network learns on top of, where `model.pair_potential` is lennard-jones.",
        )
        spec.inputs.validator = cls.validate_inputs
        set_option_defaults(spec, "training", 86400, filenames.TRAINING_SETTINGS_FILE)

        spec.output("potential", valid_type=PotentialData, help="The portable model with the lowest validation loss.")
        spec.output("training_curve", valid_type=orm.ArrayData, required=False, help="Loss and errors by epoch.")
        spec.output("results", valid_type=orm.Dict, required=False, help="Errors, epochs, reason to stop, versions.")
        spec.output(
            "configuration", valid_type=orm.SinglefileData, required=False, help="The complete NequIP configuration."
        )
        spec.default_output_node = "results"

        spec.exit_code(
            301, "ERROR_REPORT_MISSING", message="The training left no report: look at `verdi calcjob outputcat PK`."
        )
        spec.exit_code(302, "ERROR_MODEL_MISSING", message="The training left no packaged model: {error}")
        spec.exit_code(
            400, "ERROR_OUT_OF_WALLTIME", message="The walltime ended the training before a model could be packaged."
        )
        spec.exit_code(
            410,
            "ERROR_NOT_A_NUMBER",
            message="The loss became not-a-number: lower the learning rate, or look for a broken label. {error}",
        )
        spec.exit_code(420, "ERROR_TRAINING_FAILED", message="The training program stopped with an error: {error}")

    @classmethod
    def validate_inputs(cls, inputs: dict[str, Any], _: Any) -> str | None:
        """Check inputs against each other."""
        if (wrong := _prior_sentence(inputs)) is not None:
            return wrong
        if "training_set" not in inputs or "validation_set" not in inputs:
            return None
        training, validation = inputs["training_set"], inputs["validation_set"]
        strangers = sorted(set(validation.species) - set(training.species))
        if strangers:
            return (
                f"the validation set <{validation.pk}> holds {', '.join(strangers)}, which the training set "
                f"<{training.pk}> does not: the model would not know them."
            )
        try:
            require_same_level(
                training.level_of_theory, validation.level_of_theory, f"validation set <{validation.pk}>"
            )
        except InputError as error:
            return str(error)
        seen = {_fingerprint(frame): place for place, frame in enumerate(training.frames())}
        for place, frame in enumerate(validation.frames()):
            if _fingerprint(frame) in seen:
                return (
                    f"configuration {place} of the validation set <{validation.pk}> is configuration "
                    f"{seen[_fingerprint(frame)]} of the training set <{training.pk}>; validation frames are never "
                    "training frames."
                )
        return None

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the settings of the training."""
        settings = self.inputs.parameters.get_dict()
        settings["species"] = self.inputs.training_set.species
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

        return job_of_one_program(
            self,
            "training",
            ["train", "--settings", filenames.TRAINING_SETTINGS_FILE],
            copies=[
                (node.uuid, node.filename, name)
                for node, name in (
                    (self.inputs.training_set, filenames.TRAINING_SET_FILE),
                    (self.inputs.validation_set, filenames.VALIDATION_SET_FILE),
                )
            ],
            retrieve=[
                filenames.TRAINING_REPORT_FILE,
                filenames.TRAINING_CURVE_FILE,
                filenames.NEQUIP_CONFIGURATION_FILE,
            ],
            retrieve_temporarily=[filenames.PORTABLE_MODEL_FILE],
        )


def prior_is_wanted(parameters: dict[str, Any]) -> bool:
    """Return whether the settings of a training ask for a Lennard-Jones prior."""
    return (parameters.get("model") or {}).get("pair_potential") == "lennard-jones"


def _prior_sentence(inputs: dict[str, Any]) -> str | None:
    """Return what is wrong with the prior, or its absence, as far as ``inputs`` are there."""
    if "parameters" not in inputs:
        return None
    parameters, prior = inputs["parameters"].get_dict(), inputs.get("prior")
    if prior is None:
        # Work chains, which fit one themselves, are checked without the data sets.
        if prior_is_wanted(parameters) and "training_set" in inputs:
            return "`model.pair_potential` is lennard-jones: give the `prior`, fitted with `fit_lennard_jones_prior`."
        return None
    species = inputs["training_set"].species if "training_set" in inputs else list(prior.prior().species)
    try:
        check_prior({**complete_training_settings(parameters), "species": species}, prior.prior())
    except InputError as error:
        return str(error)
    return None


def _fingerprint(frame: Any) -> bytes:
    """Return what makes a configuration the same as another: species, positions and cell, to the last digit."""
    return frame.numbers.tobytes() + frame.positions.tobytes() + frame.cell.array.tobytes()
