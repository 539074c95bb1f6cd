"""Free runs with a trained potential, with labels along them: does its error stay where it was?"""

from __future__ import annotations

from aiida import orm
from aiida.common import AttributeDict
from aiida.engine import ExitCode, ProcessSpec, ToContext, WorkChain, if_

from aiida_sicmlip.calculations.evaluation import EvaluationCalculation
from aiida_sicmlip.calculations.functions.assess_final_run import assess_final_run
from aiida_sicmlip.calculations.functions.extend_dataset import extend_dataset
from aiida_sicmlip.calculations.functions.pick_frames_in_time import pick_frames_in_time
from aiida_sicmlip.calculations.validation import number_port, settings_port
from aiida_sicmlip.common.labels import label_of_index
from aiida_sicmlip.data.compiled_potential import CompiledPotentialData
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.data.trajectory import SegmentTrajectoryData
from aiida_sicmlip.science.evaluation.final_run import FinalRunSettings
from aiida_sicmlip.tools.failure_messages import failure_message
from aiida_sicmlip.workflows.active_learning.rounds import renumber_segments
from aiida_sicmlip.workflows.base.reattach import run_once, submit_once
from aiida_sicmlip.workflows.exploration.exploration import ExplorationWorkChain
from aiida_sicmlip.workflows.labelling.labelling import LabellingWorkChain

NO_FRAMES = ExplorationWorkChain.exit_codes.ERROR_NO_FRAMES.status


class FinalRunWorkChain(WorkChain):
    """Run free molecular dynamics with a potential, label frames evenly along it, and compare.

    A bias and learned variables lead an exploration where they are built to lead it; errors of free dynamics are what a
    user of the potential meets. Where a run ends early, or the error does not stay below the threshold, the result says
    so; that is no failure of the work chain.
    """

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        spec.input("parameters", **settings_port(FinalRunSettings))
        spec.expose_inputs(
            ExplorationWorkChain,
            include=("structures", "hosts", "seed", "max_concurrent", "walker", "walker_parameters"),
        )
        # A bias has no variables here.
        spec.inputs["walker"]["exploration"].pop("bias", None)
        spec.input("potential", valid_type=CompiledPotentialData, help="The potential, compiled for LAMMPS.")
        spec.input(
            "first_segment",
            **number_port(
                "first_segment",
                "Number of the first segment among all of a run of active learning.",
                at_least=0,
                default=0,
            ),
        )
        spec.expose_inputs(LabellingWorkChain, namespace="labelling", exclude=("structures",))
        spec.expose_inputs(
            EvaluationCalculation, namespace="evaluation", exclude=("dataset", "potential", "committee", "hosts")
        )
        # These inputs are complete only when a child is submitted.
        for namespace in ("labelling", "evaluation"):
            spec.inputs[namespace].validator = None
        spec.outline(
            cls.run_exploration,
            cls.inspect_exploration,
            if_(cls.should_run_labelling)(
                cls.run_labelling,
                cls.inspect_labelling,
                cls.run_evaluation,
                cls.inspect_evaluation,
            ),
            cls.results,
        )
        spec.output(
            "results",
            valid_type=orm.Dict,
            help="Force MAE (eV/A) of each label against time (ps), runs that ended early, and whether it stays below "
            "the threshold (`met`).",
        )
        spec.output(
            "labelled_set",
            valid_type=LabelledDataSetData,
            required=False,
            help="The labels, if there are any, in the order of their frames.",
        )
        spec.output_namespace(
            "trajectories",
            dynamic=True,
            valid_type=SegmentTrajectoryData,
            help="Frames of the runs, by start structure and segment.",
        )
        for status, step in ((401, "exploration"), (402, "labelling"), (403, "evaluation")):
            spec.exit_code(status, f"ERROR_{step.upper()}_FAILED", message=f"The {step} <{{pk}}> failed: {{reason}}")

    def run_exploration(self) -> ToContext:
        """Submit the free runs."""
        inputs = AttributeDict(self.exposed_inputs(ExplorationWorkChain))
        inputs["potential"] = self.inputs.potential
        inputs["walkers"] = orm.Int(self._settings.walkers)
        return ToContext(exploration=submit_once(self, ExplorationWorkChain, "exploration", **inputs))

    def inspect_exploration(self) -> ExitCode | None:
        """Pick frames along the runs; runs that left none have failed at once, which is a result, too."""
        child = self.ctx.exploration
        if not child.is_finished_ok and child.exit_status != NO_FRAMES:
            return self.exit_codes.ERROR_EXPLORATION_FAILED.format(pk=child.pk, reason=failure_message(child))
        found = dict(child.outputs.trajectories) if "trajectories" in child.outputs else {}
        trajectories = renumber_segments(found, self.inputs.first_segment.value)
        given = {"trajectories": trajectories} if trajectories else {}
        if trajectories:
            self.out("trajectories", trajectories)
        picked = run_once(
            self,
            pick_frames_in_time,
            "pick",
            parameters=self.inputs.parameters,
            structures=dict(self.inputs.structures),
            **given,
        )
        self.ctx.plan = picked["plan"]
        self.ctx.frames = dict(picked.get("frames", {}))
        self.ctx.labels = {}
        return None

    def should_run_labelling(self) -> bool:
        """Return whether a run has reached a frame to label."""
        return bool(self.ctx.frames)

    def run_labelling(self) -> ToContext:
        """Label the frames."""
        inputs = self.exposed_inputs(LabellingWorkChain, namespace="labelling")
        child = submit_once(self, LabellingWorkChain, "labelling", structures=self.ctx.frames, **inputs)
        return ToContext(labelling=child)

    def inspect_labelling(self) -> ExitCode | None:
        """Collect the labels in a data set."""
        child = self.ctx.labelling
        if not child.is_finished_ok:
            return self.exit_codes.ERROR_LABELLING_FAILED.format(pk=child.pk, reason=failure_message(child))
        self.ctx.labels = dict(child.outputs.labels)
        labels = {label_of_index(index): self.ctx.labels[name] for index, name in enumerate(sorted(self.ctx.labels))}
        level = child.outputs.level_of_theory
        self.ctx.labelled_set = run_once(self, extend_dataset, "labelled_set", level_of_theory=level, **labels)
        self.out("labelled_set", self.ctx.labelled_set)
        return None

    def run_evaluation(self) -> ToContext:
        """Evaluate the potential on the labels."""
        inputs = AttributeDict(self.exposed_inputs(EvaluationCalculation, namespace="evaluation"))
        inputs |= {"potential": self.inputs.potential, "dataset": self.ctx.labelled_set}
        if self.inputs.get("hosts"):
            inputs["hosts"] = self.inputs.hosts
        return ToContext(evaluation=submit_once(self, EvaluationCalculation, "evaluation", **inputs))

    def inspect_evaluation(self) -> ExitCode | None:
        """Check that the evaluation has succeeded."""
        child = self.ctx.evaluation
        if not child.is_finished_ok:
            return self.exit_codes.ERROR_EVALUATION_FAILED.format(pk=child.pk, reason=failure_message(child))
        return None

    def results(self) -> None:
        """Compare the errors along the runs with the threshold."""
        evaluated = {"evaluation": self.ctx.evaluation.outputs.results} if "evaluation" in self.ctx else {}
        results = run_once(
            self,
            assess_final_run,
            "assessment",
            parameters=self.inputs.parameters,
            plan=self.ctx.plan,
            labelled=orm.List(sorted(self.ctx.labels)),
            **evaluated,
        )
        self.out("results", results)
        self.report(f"{'passed' if results['met'] else 'not passed'}: {results['message']}")

    @property
    def _settings(self) -> FinalRunSettings:
        """The settings of the runs."""
        return FinalRunSettings.from_mapping(self.inputs.parameters.get_dict())
