"""Training, compilation and evaluation of a potential."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ProcessSpec, ToContext, while_

from aiida_sicmlip.calculations.compilation import CompilationCalculation
from aiida_sicmlip.calculations.evaluation import EvaluationCalculation
from aiida_sicmlip.calculations.functions.assess_fit import assess_fit
from aiida_sicmlip.calculations.functions.derive_seeds import derive_committee_seeds
from aiida_sicmlip.calculations.functions.fit_lennard_jones_prior import fit_lennard_jones_prior
from aiida_sicmlip.calculations.functions.lower_learning_rate import lower_learning_rate
from aiida_sicmlip.calculations.training import TrainingCalcJob
from aiida_sicmlip.calculations.training_checks import prior_is_wanted
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.science.evaluation.underfit import message_of_fit
from aiida_sicmlip.science.training.lennard_jones_fit import LennardJonesSettings
from aiida_sicmlip.science.training.settings import TrainingParameters
from aiida_sicmlip.tools.failure_messages import failure_message
from aiida_sicmlip.workflows.base.reattach import run_once, submit_once
from aiida_sicmlip.workflows.training.base import TrainingBaseWorkChain
from aiida_sicmlip.workflows.training.ports import TrainingPorts

OTHER_MACHINE = CompilationCalculation.exit_codes.ERROR_OTHER_MACHINE.status
"""Not repeated, as the next attempt would run on the same wrong machine."""
PROLONGATION_FACTOR = 0.5
"""Factor of the highest learning rate for each prolongation of a training."""
FIRST = "member_00"
"""The member of a committee whose potential is the output, explores and is evaluated."""


class TrainingWorkChain(TrainingPorts):
    """Train a potential, compile it, and evaluate the compiled model on its training and validation sets.

    If the settings require a Lennard-Jones prior and none is given, one is first fitted to the training set, with the
    cutoff of the model. A committee consists of potentials that differ only in their seeds; their disagreement is a
    measure of the uncertainty.

    A training that ends underfitted, with a larger error on the training set than was asked for and hardly a larger one
    on the validation set, is prolonged: further labels would not help it. The output ``fit`` says whether it still is.
    """

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Define the outline."""
        super().define(spec)
        spec.outline(
            cls.fit_prior,
            cls.run_training,
            cls.inspect_training,
            while_(cls.should_prolong)(
                cls.run_prolongation,
                cls.inspect_prolongation,
            ),
            cls.run_compilation,
            cls.run_compilation_again,
            cls.inspect_compilation,
            cls.run_evaluations,
            cls.inspect_evaluations,
            cls.results,
        )

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
        seeds = {FIRST: self.inputs.training.seed}
        size = self.inputs.committee_size
        if size.value > 1:
            seeds |= run_once(self, derive_committee_seeds, "seeds", seed=seeds[FIRST], committee_size=size)
        self.ctx.seeds, self.ctx.parameters, self.ctx.prolongations = seeds, self.inputs.training.parameters, 0
        prior = {} if self.ctx.prior is None else {"prior": self.ctx.prior}
        return self._submit_trainings("training", dict.fromkeys(self._members, prior))

    def inspect_training(self) -> ExitCode | None:
        """Check that all trainings have succeeded."""
        self.ctx.hours = [self._hours("training")]
        labels = [_label("training", member) for member in self._members]
        return self._failure(labels, self.exit_codes.ERROR_TRAINING_FAILED)

    def should_prolong(self) -> bool:
        """Return whether the training is underfitted and may be prolonged."""
        if "asked_force_mae" not in self.inputs:
            return False
        results, asked = self._training(FIRST).outputs.results, self.inputs.asked_force_mae
        step = f"fit_{self.ctx.prolongations:02d}" if self.ctx.prolongations else "fit"
        self.ctx.fit = run_once(self, assess_fit, step, results=results, asked_force_mae=asked)
        if not self.ctx.fit["underfitted"]:
            return False
        self.report(message_of_fit(self.ctx.fit))
        if self.ctx.prolongations >= self.inputs.max_prolongations.value:
            return False
        hours = self.ctx.hours
        if "prolongation_hours" in self.inputs and sum(hours) + hours[-1] > self.inputs.prolongation_hours.value:
            self.report(
                f"the training is not prolonged: it has taken {sum(hours):.3g} h, and the budget holds "
                f"{self.inputs.prolongation_hours.value:.3g} h in all"
            )
            return False
        return True

    def run_prolongation(self) -> ToContext:
        """Submit trainings that go on from the models so far, with a lower learning rate."""
        self.ctx.prolongations += 1
        step, factor = self._prolongation, orm.Float(PROLONGATION_FACTOR)
        self.ctx.parameters = run_once(
            self, lower_learning_rate, f"{step}_learning_rate", parameters=self.ctx.parameters, factor=factor
        )
        # A package carries its prior.
        starts = {member: {"initial_potential": self._training(member).outputs.potential} for member in self._members}
        return self._submit_trainings(step, starts)

    def inspect_prolongation(self) -> None:
        """Use the prolonged trainings; if one has failed, keep all models so far."""
        children = {member: self.ctx[_label(self._prolongation, member)] for member in self._members}
        for child in children.values():
            if not child.is_finished_ok:
                self.report(
                    f"the prolongation <{child.pk}> failed, the model before it is kept: {failure_message(child)}"
                )
                self.ctx.prolongations = self.inputs.max_prolongations.value
                return
        self.ctx.hours = [*self.ctx.hours, self._hours(self._prolongation)]
        for member, child in children.items():
            self.ctx[_label("training", member)] = child

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

    @property
    def _prolongation(self) -> str:
        """Name of the current prolongation."""
        return f"prolongation_{self.ctx.prolongations:02d}"

    def _submit_trainings(self, step: str, starts: dict[str, dict[str, orm.Data]]) -> ToContext:
        """Submit a training of each member under the label of a step, with what each starts from."""
        inputs = dict(self.exposed_inputs(TrainingCalcJob, namespace="training", agglomerate=False))
        inputs.pop("prior", None)
        submitted = {}
        for member, start in starts.items():
            training = {
                **inputs,
                **start,
                "parameters": self.ctx.parameters,
                "seed": self.ctx.seeds[member],
                "training_set": self.inputs.training_set,
                "validation_set": self.inputs.validation_set,
            }
            label = _label(step, member)
            submitted[label] = submit_once(
                self, TrainingBaseWorkChain, label, training=training, max_iterations=self.inputs.max_iterations
            )
        return ToContext(**submitted)

    def _hours(self, step: str) -> float:
        """Return the hours that the trainings of a step have taken, summed over the committee."""
        nodes = [self.ctx[_label(step, member)] for member in self._members]
        return sum((node.mtime - node.ctime).total_seconds() for node in nodes) / 3600

    def _set_training_outputs(self) -> None:
        """Set the outputs to those of the training of the first member."""
        if "fit" in self.ctx:
            self.out("fit", self.ctx.fit)
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
