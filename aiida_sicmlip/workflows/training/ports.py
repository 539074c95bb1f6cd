"""Ports, exit codes and protocol of the training of a potential."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ProcessBuilder, ProcessSpec, WorkChain

from aiida_sicmlip.calculations.compilation import CompilationCalculation
from aiida_sicmlip.calculations.evaluation import EvaluationCalculation
from aiida_sicmlip.calculations.training import TrainingCalcJob
from aiida_sicmlip.calculations.training_checks import check_training
from aiida_sicmlip.calculations.validation import number_port, settings_port
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.data.compiled_potential import CompiledPotentialData
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.data.lennard_jones_prior import LennardJonesPriorData
from aiida_sicmlip.data.potential import PotentialData
from aiida_sicmlip.science.protocol_files import Overrides
from aiida_sicmlip.science.training.lennard_jones_fit import PriorParameters
from aiida_sicmlip.workflows.protocols.training import (
    STEPS,
    TrainingProtocolMixin,
    fill_training,
    load_training_protocol,
    with_options_of_scheduler,
)
from aiida_sicmlip.workflows.training.base import TrainingBaseWorkChain
from aiida_sicmlip.workflows.training.validation import (
    MAX_COMMITTEE_SIZE,
    require_fitted_prior,
    validate_compilation,
    validate_further_compilations,
)


class TrainingPorts(TrainingProtocolMixin, WorkChain):
    """Ports, exit codes and protocol of a training."""

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        spec.expose_inputs(
            TrainingCalcJob, namespace="training", exclude=("training_set", "validation_set", "checkpoint")
        )
        spec.expose_inputs(TrainingCalcJob, include=("training_set", "validation_set"))
        spec.expose_inputs(TrainingBaseWorkChain, include=("max_iterations",))
        spec.input(
            "prior_settings",
            required=False,
            **settings_port(PriorParameters, purpose="Used if the model requires a prior and none is given."),
        )
        spec.input(
            "committee_size",
            **number_port(
                "committee_size",
                "Number of potentials that are trained with different seeds; the first one is used.",
                1,
                at_least=1,
                at_most=MAX_COMMITTEE_SIZE,
            ),
        )
        spec.input(
            "asked_force_mae",
            required=False,
            **number_port(
                "asked_force_mae",
                "Force MAE in eV/A that the training set is asked to meet; without it, no training is underfitted.",
                kind=orm.Float,
                above=0,
            ),
        )
        spec.input(
            "max_prolongations",
            **number_port(
                "max_prolongations",
                "Maximum number of times that an underfitted training is prolonged, each by as many steps as the "
                "first, from the model so far.",
                0,
                at_least=0,
            ),
        )
        spec.input(
            "prolongation_hours",
            valid_type=orm.Float,
            serializer=orm.to_aiida_type,
            required=False,
            help="No prolongation is begun with which all trainings of this work chain would take more hours, summed "
            "over the committee; a budget of a run sets it.",
        )
        spec.input_namespace(
            "further_sets",
            dynamic=True,
            required=False,
            valid_type=LabelledDataSetData,
            help="Further sets that the compiled model is evaluated on, by name.",
        )
        spec.expose_inputs(CompilationCalculation, namespace="compilation", exclude=("potential",))
        spec.input_namespace(
            "further_compilations",
            dynamic=True,
            required=False,
            valid_type=(orm.AbstractCode, orm.Dict),
            validator=validate_further_compilations,
            help="Further machines that the potential is compiled for, by name: `code`, `parameters` and `options`.",
        )
        spec.expose_inputs(EvaluationCalculation, namespace="evaluation", exclude=("potential", "dataset", "committee"))
        spec.inputs["compilation"].validator = validate_compilation
        spec.inputs.validator = cls.validate_inputs
        spec.output("potential", valid_type=PotentialData, help="The portable model.")
        spec.output("compiled_potential", valid_type=CompiledPotentialData, help="The model, compiled for LAMMPS.")
        spec.output(
            "prior",
            valid_type=LennardJonesPriorData,
            required=False,
            help="The prior, if it was fitted here.",
        )
        spec.output(
            "fit",
            valid_type=orm.Dict,
            required=False,
            help="Whether the training is underfitted: `underfitted`, and the force MAE that this follows from.",
        )
        spec.output(
            "training_curve", valid_type=orm.ArrayData, required=False, help="Loss and errors at each validation."
        )
        spec.output(
            "training_results",
            valid_type=orm.Dict,
            required=False,
            help="Errors, optimiser steps, stopping reason, versions.",
        )
        spec.output(
            "configuration", valid_type=orm.SinglefileData, required=False, help="The complete NequIP configuration."
        )
        spec.output_namespace(
            "further_compilations",
            dynamic=True,
            valid_type=CompiledPotentialData,
            help="The model, compiled for the further machines, under their names.",
        )
        spec.output_namespace(
            "committee",
            dynamic=True,
            valid_type=CompiledPotentialData,
            help="The other members of the committee, compiled: `member_01` etc.",
        )
        spec.output_namespace(
            "committee_potentials",
            dynamic=True,
            valid_type=PotentialData,
            help="The other members of the committee, portable.",
        )
        spec.output_namespace(
            "evaluations",
            dynamic=True,
            valid_type=orm.Dict,
            help="Errors of the compiled model on the `training` and the `validation` set, and on the further sets.",
        )
        spec.exit_code(401, "ERROR_TRAINING_FAILED", message="The training <{pk}> failed: {reason}")
        spec.exit_code(402, "ERROR_COMPILATION_FAILED", message="The compilation <{pk}> failed: {reason}")
        spec.exit_code(403, "ERROR_EVALUATION_FAILED", message="The evaluation <{pk}> failed: {reason}")

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: orm.AbstractCode,
        training_set: LabelledDataSetData,
        validation_set: LabelledDataSetData,
        protocol: str | None = None,
        overrides: Overrides = None,
    ) -> ProcessBuilder:
        """Return a builder for the protocol called ``protocol`` with ``overrides`` on top.

        The seed of the training is 1 by default.

        :param code: `sicmlip`, for all steps.
        :param protocol: `paper`, `balanced` (default) or `fast`.
        :param overrides: settings as in `workflows/protocols/training.yaml`, or the path of a YAML file of them.
        :raises InputError: if the protocol or a setting is unknown, or a value is invalid.
        """
        settings = with_options_of_scheduler(load_training_protocol(protocol, overrides), code)
        builder = cls.get_builder()
        builder.training_set, builder.validation_set = training_set, validation_set
        fill_training(builder, settings, dict.fromkeys(STEPS, code))
        builder.training.seed = orm.Int(1)
        return builder

    @classmethod
    def validate_inputs(cls, inputs: dict[str, Any], _: Any) -> str | None:
        """Validate the inputs."""
        sets: dict[str, Any] = {name: inputs[name] for name in ("training_set", "validation_set") if name in inputs}
        try:
            check_training({**inputs.get("training", {}), **sets}, fits_prior=True)
            require_fitted_prior(inputs)
        except InputError as error:
            return str(error)
        return None
