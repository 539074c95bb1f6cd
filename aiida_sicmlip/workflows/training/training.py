"""Training, compilation and evaluation of a potential."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ProcessBuilder, ProcessSpec, ToContext, WorkChain

from aiida_sicmlip.calculations.compilation import CompilationCalculation
from aiida_sicmlip.calculations.evaluation import EvaluationCalculation
from aiida_sicmlip.calculations.functions.derive_seeds import derive_committee_seeds
from aiida_sicmlip.calculations.functions.fit_lennard_jones_prior import fit_lennard_jones_prior
from aiida_sicmlip.calculations.training import TrainingCalcJob
from aiida_sicmlip.calculations.training_checks import check_training, prior_is_wanted
from aiida_sicmlip.calculations.validation import number_port, settings_port
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.data.compiled_potential import CompiledPotentialData
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.data.lennard_jones_prior import LennardJonesPriorData
from aiida_sicmlip.data.potential import PotentialData
from aiida_sicmlip.science.training.lennard_jones_fit import LennardJonesSettings, PriorParameters
from aiida_sicmlip.science.training.settings import TrainingParameters
from aiida_sicmlip.tools.failure_messages import failure_message
from aiida_sicmlip.workflows.base.reattach import run_once, submit_once
from aiida_sicmlip.workflows.protocols.files import Overrides
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

OTHER_MACHINE = CompilationCalculation.exit_codes.ERROR_OTHER_MACHINE.status
"""Not repeated, as the next attempt would run on the same wrong machine."""
FIRST = "member_00"
"""The member of a committee whose potential is the output, explores and is evaluated."""


class TrainingWorkChain(TrainingProtocolMixin, WorkChain):
    """Train a potential, compile it, and evaluate the compiled model on its training and validation sets.

    If the settings require a Lennard-Jones prior and none is given, one is first fitted to the training set, with the
    cutoff of the model. A committee consists of potentials that differ only in their seeds; their disagreement is a
    measure of the uncertainty.
    """

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
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
        spec.outline(
            cls.fit_prior,
            cls.run_training,
            cls.inspect_training,
            cls.run_compilation,
            cls.run_compilation_again,
            cls.inspect_compilation,
            cls.run_evaluations,
            cls.inspect_evaluations,
            cls.results,
        )
        spec.output("potential", valid_type=PotentialData, help="The portable model.")
        spec.output("compiled_potential", valid_type=CompiledPotentialData, help="The model, compiled for LAMMPS.")
        spec.output(
            "prior",
            valid_type=LennardJonesPriorData,
            required=False,
            help="The prior, if it was fitted here.",
        )
        spec.output("training_curve", valid_type=orm.ArrayData, required=False, help="Loss and errors by epoch.")
        spec.output(
            "training_results", valid_type=orm.Dict, required=False, help="Errors, epochs, stopping reason, versions."
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

    def fit_prior(self) -> None:
        """Fit a prior if the model requires one and none is given; a packaged model contains its own."""
        self.ctx.prior = self.inputs.training.get("prior")
        parameters = self.inputs.training.parameters.get_dict()
        packaged = "initial_potential" in self.inputs.training
        if self.ctx.prior is not None or packaged or not prior_is_wanted(parameters):
            return
        prior_settings = self.inputs.prior_settings.get_dict() if "prior_settings" in self.inputs else {}
        cutoff = float(TrainingParameters.from_mapping(parameters).model.cutoff)
        settings = orm.Dict(LennardJonesSettings.complete({**prior_settings, "cutoff": cutoff}))
        self.ctx.prior = run_once(
            self, fit_lennard_jones_prior, "prior", dataset=self.inputs.training_set, settings=settings
        )
        self.out("prior", self.ctx.prior)
        before, after = (self.ctx.prior.residuals[stage]["forces_rmse"] for stage in ("before", "after"))
        self.report(f"fitted a prior: root mean square force {before:.3f} eV/A, residual {after:.3f} eV/A")

    def run_training(self) -> ToContext:
        """Submit the trainings of all members."""
        inputs = dict(self.exposed_inputs(TrainingCalcJob, namespace="training", agglomerate=False))
        if self.ctx.prior is not None:
            inputs["prior"] = self.ctx.prior
        seeds = {FIRST: inputs.pop("seed")}
        size = self.inputs.committee_size
        if size.value > 1:
            seeds |= run_once(self, derive_committee_seeds, "seeds", seed=seeds[FIRST], committee_size=size)
        submitted = {}
        for member in self._members:
            training = {
                **inputs,
                "seed": seeds[member],
                "training_set": self.inputs.training_set,
                "validation_set": self.inputs.validation_set,
            }
            label = _label("training", member)
            submitted[label] = submit_once(
                self, TrainingBaseWorkChain, label, training=training, max_iterations=self.inputs.max_iterations
            )
        return ToContext(**submitted)

    def inspect_training(self) -> ExitCode | None:
        """Check that all trainings have succeeded."""
        labels = [_label("training", member) for member in self._members]
        return self._failure(labels, self.exit_codes.ERROR_TRAINING_FAILED)

    def run_compilation(self) -> ToContext:
        """Submit the compilations: of each member for the exploration, and of the first member for further machines."""
        compilations = self._compilations
        return ToContext(
            **{label: submit_once(self, CompilationCalculation, label, **compilations[label]) for label in compilations}
        )

    def run_compilation_again(self) -> ToContext:
        """Submit failed compilations again, as they can fail for a temporary lack of memory or disk space."""
        again = {}
        for label, inputs in self._compilations.items():
            failed = self.ctx[label]
            if failed.is_finished_ok or failed.exit_status == OTHER_MACHINE:
                continue
            self.report(f"`{label}` <{failed.pk}> failed, second attempt: {failure_message(failed)}")
            again[label] = submit_once(self, CompilationCalculation, f"{label}_again", **inputs)
        return ToContext(**again)

    def inspect_compilation(self) -> ExitCode | None:
        """Check that all compilations have succeeded; if not, still set the outputs of the training."""
        labels = [_label("compilation", member) for member in self._members]
        labels += [f"compilation_for_{name}" for name in self.inputs.get("further_compilations", {})]
        failure = self._failure(labels, self.exit_codes.ERROR_COMPILATION_FAILED)
        if failure is not None:
            self._set_training_outputs()
        return failure

    def run_evaluations(self) -> ToContext:
        """Submit the evaluation of the compiled model on all sets."""
        inputs = dict(self.exposed_inputs(EvaluationCalculation, namespace="evaluation"))
        others = self._compiled_committee
        if others:
            inputs["committee"] = others
        compiled = self.ctx[_label("compilation", FIRST)].outputs.compiled_potential
        return ToContext(
            **{
                f"evaluation_{name}": submit_once(
                    self,
                    EvaluationCalculation,
                    f"evaluation_{name}",
                    dataset=dataset,
                    potential=compiled,
                    **inputs,
                )
                for name, dataset in self._sets.items()
            }
        )

    def inspect_evaluations(self) -> ExitCode | None:
        """Check that all evaluations have succeeded."""
        labels = [f"evaluation_{name}" for name in self._sets]
        return self._failure(labels, self.exit_codes.ERROR_EVALUATION_FAILED)

    def results(self) -> None:
        """Set the outputs to the potential, its compiled models and its errors."""
        self._set_training_outputs()
        self.out("compiled_potential", self.ctx[_label("compilation", FIRST)].outputs.compiled_potential)
        for name in self.inputs.get("further_compilations", {}):
            compilation = self.ctx[f"compilation_for_{name}"]
            self.out(f"further_compilations.{name}", compilation.outputs.compiled_potential)
        for member, compiled in self._compiled_committee.items():
            self.out(f"committee.{member}", compiled)
            self.out(f"committee_potentials.{member}", self._training(member).outputs.potential)
        evaluations = {name: self.ctx[f"evaluation_{name}"].outputs.results for name in self._sets}
        self.out("evaluations", evaluations)
        errors = ", ".join(
            f"{evaluations[name]['force_mae']:.3f} eV/A on the {name.replace('_', ' ')} set" for name in self._sets
        )
        self.report(f"force MAE {errors}")

    def _set_training_outputs(self) -> None:
        """Set the outputs to those of the training of the first member."""
        training = self._training(FIRST)
        for name in ("potential", "training_curve", "results", "configuration"):
            if name in training.outputs:
                self.out("training_results" if name == "results" else name, training.outputs[name])

    @property
    def _compilations(self) -> dict[str, dict[str, Any]]:
        """The inputs of each compilation, by call link label."""
        inputs = dict(self.exposed_inputs(CompilationCalculation, namespace="compilation"))
        compilations = {
            _label("compilation", member): {**inputs, "potential": self._training(member).outputs.potential}
            for member in self._members
        }
        for name, machine in self.inputs.get("further_compilations", {}).items():
            of_machine = {key: value for key, value in machine.items() if key != "options"}
            if "options" in machine:
                of_machine["metadata"] = {"options": machine["options"].get_dict()}
            potential = self._training(FIRST).outputs.potential
            compilations[f"compilation_for_{name}"] = {**of_machine, "potential": potential}
        return compilations

    @property
    def _members(self) -> list[str]:
        """Names of the members of the committee; a single potential is the only member."""
        return [f"member_{index:02d}" for index in range(self.inputs.committee_size.value)]

    @property
    def _compiled_committee(self) -> dict[str, orm.Data]:
        """The compiled models of the further members."""
        others = self._members[1:]
        return {member: self.ctx[_label("compilation", member)].outputs.compiled_potential for member in others}

    @property
    def _sets(self) -> dict[str, LabelledDataSetData]:
        """The data sets that the model is evaluated on, by name."""
        further = dict(self.inputs.get("further_sets", {}))
        return {"training": self.inputs.training_set, "validation": self.inputs.validation_set, **further}

    def _training(self, member: str) -> orm.ProcessNode:
        """Return the training of a member."""
        return self.ctx[_label("training", member)]

    def _failure(self, labels: list[str], code: ExitCode) -> ExitCode | None:
        """Return the formatted exit code ``code`` for the first failed child process; None if there is none."""
        for label in labels:
            child = self.ctx[label]
            if not child.is_finished_ok:
                reason = failure_message(child)
                return code.format(pk=child.pk, reason=reason)
        return None


def _label(step: str, member: str) -> str:
    """Return the call link label of a step of a member; for the first member, the name of the step."""
    return step if member == FIRST else f"{step}_{member}"
