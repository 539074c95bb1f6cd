"""From data sets to a potential that has been compiled and judged."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import CalcJob, ExitCode, ProcessSpec, ToContext, WorkChain

from aiida_sicmlip.calculations.compilation import CompilationCalculation
from aiida_sicmlip.calculations.evaluation import EvaluationCalculation
from aiida_sicmlip.calculations.functions.fit_lennard_jones_prior import fit_lennard_jones_prior
from aiida_sicmlip.calculations.training import TrainingCalcJob, prior_is_wanted
from aiida_sicmlip.data.compiled_potential import CompiledPotentialData
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.data.lennard_jones_prior import LennardJonesPriorData
from aiida_sicmlip.data.potential import PotentialData
from aiida_sicmlip.science.io.training_settings import complete_training_settings
from aiida_sicmlip.workflows.reattach import run_once, submit_once


def validate_compilation(parameters: orm.Dict | None, _: Any) -> str | None:
    """The compiled model is meant for LAMMPS, and the evaluation takes the same."""
    if parameters is not None and parameters.get_dict().get("target", "pair_allegro") != "pair_allegro":
        return "`compilation.parameters.target` must be `pair_allegro` here: exploration and evaluation run that model."
    return None


class TrainingWorkChain(WorkChain):
    """Train a potential, compile it, and evaluate the compiled model on its training and validation sets.

    Where the settings ask for a Lennard-Jones prior and none is given, one is fitted to the training set first, with
    the cutoff of the model.
    """

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        spec.expose_inputs(TrainingCalcJob, namespace="training", exclude=("training_set", "validation_set"))
        spec.expose_inputs(TrainingCalcJob, include=("training_set", "validation_set"))
        spec.input_namespace(
            "further_sets",
            dynamic=True,
            required=False,
            valid_type=LabelledDataSetData,
            help="Further sets that the compiled model is evaluated on, under the names that their errors get.",
        )
        spec.expose_inputs(CompilationCalculation, namespace="compilation", exclude=("potential",))
        spec.inputs["compilation"].validator = cls.validate_compilation_namespace
        spec.expose_inputs(EvaluationCalculation, namespace="evaluation", exclude=("potential", "dataset"))
        spec.inputs.validator = TrainingCalcJob.validate_inputs
        spec.outline(
            cls.fit_prior,
            cls.run_training,
            cls.inspect_training,
            cls.run_compilation,
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
            help="The prior that was fitted here.",
        )
        spec.output("training_curve", valid_type=orm.ArrayData, required=False, help="Loss and errors by epoch.")
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
    def validate_compilation_namespace(cls, inputs: dict[str, Any] | None, _: Any) -> str | None:
        """Check the target of the compilation."""
        return validate_compilation((inputs or {}).get("parameters"), _)

    def fit_prior(self) -> None:
        """Fit the prior that the settings ask for, where none is given."""
        self.ctx.prior = self.inputs.training.get("prior")
        parameters = self.inputs.training.parameters.get_dict()
        if self.ctx.prior is not None or not prior_is_wanted(parameters):
            return
        settings = orm.Dict({"cutoff": float(complete_training_settings(parameters)["model"]["cutoff"])})
        self.ctx.prior = run_once(
            self, fit_lennard_jones_prior, "prior", dataset=self.inputs.training_set, settings=settings
        )
        self.out("prior", self.ctx.prior)
        before, after = (self.ctx.prior.residuals[stage]["forces_rmse"] for stage in ("before", "after"))
        self.report(f"fitted a prior: root mean square force {before:.3f} eV/A, {after:.3f} eV/A of it left")

    def run_training(self) -> ToContext:
        """Submit the training."""
        inputs = self.exposed_inputs(TrainingCalcJob, namespace="training", agglomerate=False)
        if self.ctx.prior is not None:
            inputs = {**inputs, "prior": self.ctx.prior}
        return ToContext(
            training=submit_once(
                self,
                TrainingCalcJob,
                "training",
                training_set=self.inputs.training_set,
                validation_set=self.inputs.validation_set,
                **inputs,
            )
        )

    def inspect_training(self) -> ExitCode | None:
        """Stop where the training failed."""
        return self._failure(self.ctx.training, self.exit_codes.ERROR_TRAINING_FAILED)

    def run_compilation(self) -> ToContext:
        """Submit the compilation of the new model."""
        inputs = self.exposed_inputs(CompilationCalculation, namespace="compilation")
        potential = self.ctx.training.outputs.potential
        return ToContext(
            compilation=submit_once(self, CompilationCalculation, "compilation", potential=potential, **inputs)
        )

    def inspect_compilation(self) -> ExitCode | None:
        """Stop where the compilation failed."""
        return self._failure(self.ctx.compilation, self.exit_codes.ERROR_COMPILATION_FAILED)

    def run_evaluations(self) -> ToContext:
        """Submit the evaluation of the compiled model on all sets."""
        inputs = self.exposed_inputs(EvaluationCalculation, namespace="evaluation")
        compiled = self.ctx.compilation.outputs.compiled_potential
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
        """Stop where an evaluation failed."""
        for name in self._sets:
            failure = self._failure(self.ctx[f"evaluation_{name}"], self.exit_codes.ERROR_EVALUATION_FAILED)
            if failure is not None:
                return failure
        return None

    def results(self) -> None:
        """Hand out the potential and what is known of it."""
        training = self.ctx.training
        self.out("potential", training.outputs.potential)
        if "training_curve" in training.outputs:
            self.out("training_curve", training.outputs.training_curve)
        self.out("compiled_potential", self.ctx.compilation.outputs.compiled_potential)
        evaluations = {name: self.ctx[f"evaluation_{name}"].outputs.results for name in self._sets}
        self.out("evaluations", evaluations)
        errors = ", ".join(
            f"{evaluations[name]['force_mae']:.3f} eV/A on the {name.replace('_', ' ')} set" for name in self._sets
        )
        self.report(f"force MAE {errors}")

    @property
    def _sets(self) -> dict[str, LabelledDataSetData]:
        """The sets that the model is evaluated on, by name."""
        further = dict(self.inputs.get("further_sets", {}))
        return {"training": self.inputs.training_set, "validation": self.inputs.validation_set, **further}

    def _failure(self, calculation: CalcJob, code: ExitCode) -> ExitCode | None:
        """Return ``code``, filled in, where ``calculation`` did not finish well."""
        if calculation.is_finished_ok:
            return None
        reason = calculation.exit_message or calculation.process_state.value
        return code.format(pk=calculation.pk, reason=reason)
