"""The loop: explore, select, label, train, again until the forces are right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, Process, ProcessSpec, ToContext, while_

from aiida_sicmlip.calculations.descriptors import DescriptorsCalculation
from aiida_sicmlip.calculations.evaluation import EvaluationCalculation
from aiida_sicmlip.calculations.functions.assess_round import assess_round
from aiida_sicmlip.calculations.functions.derive_seeds import derive_round_seeds
from aiida_sicmlip.calculations.functions.extend_dataset import extend_dataset
from aiida_sicmlip.calculations.functions.find_defect_types import find_defect_types
from aiida_sicmlip.calculations.functions.select_frames import select_frames
from aiida_sicmlip.calculations.functions.select_replacements import select_replacements
from aiida_sicmlip.common.costs import Costs
from aiida_sicmlip.common.labels import REPLACED, round_label
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.science.costs.budgets import Budget, labels_left
from aiida_sicmlip.science.evaluation.assessment import message_of_verdict
from aiida_sicmlip.science.selection.picks import ROLES
from aiida_sicmlip.science.selection.settings import SelectionSettings
from aiida_sicmlip.tools.costs import costs_of_run
from aiida_sicmlip.tools.endings import failure_message
from aiida_sicmlip.workflows.active_learning import budget, rounds
from aiida_sicmlip.workflows.active_learning.continuation import initial_context
from aiida_sicmlip.workflows.active_learning.ports import ActiveLearningPorts, code_of_budget
from aiida_sicmlip.workflows.base.reattach import called, run_once, submit_once
from aiida_sicmlip.workflows.exploration.exploration import ExplorationWorkChain
from aiida_sicmlip.workflows.labelling.labelling import LabellingWorkChain
from aiida_sicmlip.workflows.training.training import TrainingWorkChain


class ActiveLearningWorkChain(ActiveLearningPorts):
    """Train a potential in rounds, each on configurations that the one before has not seen.

    A round explores with the best potential so far (the bootstrap potential in round 0), describes all its frames next
    to the trajectories, picks the most novel ones for training and representatives of everything sampled so far for
    validation, labels them from first principles, evaluates the exploring potential on the new labels, and trains the
    next one. The loop stops when the errors meet the criteria, or after ``max_rounds``.
    """

    # The context, which this class alone reads and writes. The children of a round stand in it under their steps'
    # names: `exploration`, `descriptors`, `labelling`, `replacement_labelling` (None where nothing is replaced),
    # `evaluation_of_exploring_potential`, `training`. A role is one of `ROLES`: what a configuration is labelled for.
    #
    # first_round, round   int                                 numbers of the first and of the present round
    # n_segments           int                                 segments of all rounds up to the last selection
    # seed, seeds          Int, {step: Int}                    seed of the round, and those derived from it
    # exploring_potential  classical or compiled potential     what explores the round
    # committee            {member: compiled potential}        trained beside the exploring potential
    # trajectories         {structure: {segment: trajectory}}  of the last exploration
    # candidates           {round: CandidateFramesData}        of all rounds
    # picks                {round: ArrayData}                  of all rounds; replacements under `round_00_replacements`
    # picked               {role: {frame: StructureData}}      to be labelled in the round
    # selection            Dict                                numbers and distances of the round's picks
    # datasets             {role: LabelledDataSetData | None}  of all rounds
    # new_labels           LabelledDataSetData                 all labels of the round
    # assessment           Dict | None                         of the last complete round
    # converged            bool                                whether that round met the criteria
    # finished             {output: node}                      what the last complete round made

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Define the outline."""
        super().define(spec)
        spec.outline(
            cls.setup,
            while_(cls.should_run_round)(
                cls.check_budget_of_exploration,
                cls.run_exploration,
                cls.inspect_exploration,
                cls.run_descriptors,
                cls.inspect_descriptors,
                cls.run_selection,
                cls.fit_labelling_to_budget,
                cls.run_labelling,
                cls.inspect_labelling,
                cls.run_replacements,
                cls.inspect_replacements,
                cls.run_datasets,
                cls.check_budget_of_training,
                cls.run_training,
                cls.inspect_training,
                cls.run_assessment,
            ),
            cls.results,
        )

    def setup(self) -> None:
        """Start with the bootstrap potential, and no data but those that are given."""
        self.ctx.update(initial_context(self.inputs))

    def should_run_round(self) -> bool:
        """Return whether another round is needed and allowed."""
        return not self.ctx.converged and self.ctx.round - self.ctx.first_round < self.inputs.max_rounds.value

    def check_budget_of_exploration(self) -> ExitCode | None:
        """End the run where the budgets do not hold another round."""
        return self._end_on(budget.limit_before_exploration(self._needed, *self._budget_and_costs()), "exploration")

    def run_exploration(self) -> ToContext:
        """Explore with the best potential so far, along variables learned from the round before."""
        self.ctx.seeds = self._run(derive_round_seeds, "seeds", seed=self.ctx.seed)
        return self._submit(
            ExplorationWorkChain,
            "exploration",
            structures=self.inputs.structures,
            hosts=self._hosts,
            potential=self.ctx.exploring_potential,
            seed=self.ctx.seeds["exploration"],
            earlier=self.ctx.trajectories,
            **self.exposed_inputs(ExplorationWorkChain, namespace="exploration"),
        )

    def inspect_exploration(self) -> ExitCode | None:
        """Stop where no walker gave frames."""
        failure = self._failure("exploration", self.exit_codes.ERROR_EXPLORATION_FAILED)
        if failure is None:
            found = self.ctx.exploration.outputs.trajectories
            self.ctx.trajectories = {name: dict(segments) for name, segments in found.items()}
        return failure

    def run_descriptors(self) -> ToContext:
        """Describe all frames of the round, and keep those that the selection may pick."""
        outputs = self.ctx.exploration.outputs
        filters = outputs.frame_filters if "frame_filters" in outputs else {}
        known = {role: node for role, node in self.ctx.datasets.items() if node is not None}
        training = {"training_set": known.pop("training")} if "training" in known else {}
        return self._submit(
            DescriptorsCalculation,
            "descriptors",
            trajectories=rounds.renumber_segments(self.ctx.trajectories, self.ctx.n_segments),
            filters=rounds.renumber_segments(filters, self.ctx.n_segments),
            hosts=self._hosts,
            other_sets=known,
            picks=self.ctx.picks,
            earlier=self.ctx.candidates,
            parameters=self.inputs.selection.parameters,
            with_fixed=orm.Bool(self._picks_fixed_set),
            seed=self.ctx.seeds["descriptors"],
            **training,
            **self.exposed_inputs(DescriptorsCalculation, namespace="descriptors"),
        )

    def inspect_descriptors(self) -> ExitCode | None:
        """Stop where there is nothing to pick from."""
        if self.ctx.descriptors.exit_status == DescriptorsCalculation.exit_codes.ERROR_NOTHING_NEW.status:
            return self._nothing_new()
        return self._failure("descriptors", self.exit_codes.ERROR_DESCRIPTION_FAILED)

    def run_selection(self) -> ExitCode | None:
        """Pick the frames to label."""
        parameters, seed = self.inputs.selection.parameters, self.ctx.seeds["selection"]
        new, results = self.ctx.descriptors.outputs.candidates, self.ctx.descriptors.outputs.results
        earlier = self.ctx.candidates
        picked = self._run(select_frames, "selection", parameters=parameters, seed=seed, candidates=new, **earlier)
        self.ctx.picked = {role: dict(picked.get(role, {})) for role in ROLES}
        self.ctx.selection = picked["summary"]
        self.ctx.candidates = {**earlier, self._round: new}
        self.ctx.picks = {**self.ctx.picks, self._round: picked["picks"]}
        self.ctx.n_segments += sum(map(len, self.ctx.trajectories.values()))
        if any(len(self.ctx.picked[role]) < count for role, count in self._needed.items()):
            return self._nothing_new()
        self._report(rounds.message_on_counts(picked["summary"].get_dict(), results.get_dict()))
        self._report(rounds.message_on_origins(picked["summary"].creator, picked["picks"]))
        return None

    def fit_labelling_to_budget(self) -> ExitCode | None:
        """Leave the last picks out where the budgets do not hold all their labels, or end the run."""
        picks = self.ctx.picks[self._round]
        trimmed = budget.trim_to_budget(self.ctx.picked, self._needed, *self._budget_and_costs(), picks)
        self.ctx.picked = trimmed.picked
        if trimmed.message is not None:
            self._report(trimmed.message)
        return self._end_on(trimmed.limit, "labelling")

    def run_labelling(self) -> ToContext:
        """Label the picked frames."""
        return self._submit_labels("labelling", self.ctx.picked)

    def inspect_labelling(self) -> ExitCode | None:
        """Stop where too many labels failed."""
        return self._failure("labelling", self.exit_codes.ERROR_LABELLING_FAILED)

    def run_replacements(self) -> ToContext | None:
        """Label other candidates instead of frames whose labels have failed, as many as may be replaced."""
        self.ctx.replacement_labelling = None
        picks = self.ctx.picks[self._round]
        failed = rounds.failed_labels(picks, self.ctx.picked, self.ctx.labelling.outputs.labels)
        count = min(len(failed), self.inputs.max_replacements.value)
        # After an interruption the replacements that are running have spent of the budget themselves.
        if count and not called(self.node, self._label(REPLACED)):
            left = labels_left(*self._budget_and_costs())
            count = count if left is None else min(count, left[0])
        if not count:
            return None
        earlier = dict(self.ctx.candidates)
        inputs = {"picks": picks, "candidates": earlier.pop(self._round), **earlier}
        parameters, first = self.inputs.selection.parameters, orm.List(failed[:count])
        found = self._run(select_replacements, REPLACED, parameters=parameters, failed=first, **inputs)
        replacements = {role: dict(found.get(role, {})) for role in ROLES}
        n_found = sum(map(len, replacements.values()))
        if not n_found:
            self._report(f"{len(failed)} labels failed, and no candidate is left to replace one")
            return None
        # Later rounds keep away from these as from all picks.
        self.ctx.picks = {**self.ctx.picks, f"{self._round}_replacements": found["picks"]}
        self.ctx.picked = {role: {**self.ctx.picked[role], **replacements[role]} for role in ROLES}
        self._report(f"{len(failed)} labels failed; labelling {n_found} in their places")
        return self._submit_labels("replacement_labelling", replacements)

    def inspect_replacements(self) -> None:
        """Say where replacements failed, too; the round goes on with what there is."""
        child = self.ctx.replacement_labelling
        if child is not None and not child.is_finished_ok:
            self._report(f"the replacements <{child.pk}> failed: {failure_message(child)}")

    def run_datasets(self) -> ExitCode | None:
        """Extend the sets by their new labels, or replace one, and gather all new labels in a set of their own."""
        labels = rounds.labels_of_round(self.ctx.labelling, self.ctx.replacement_labelling)
        level = self.ctx.labelling.outputs.level_of_theory

        def extended(step: str, previous: LabelledDataSetData | None, frames: list[str]) -> LabelledDataSetData | None:
            if not frames:
                return previous
            return self._run(extend_dataset, step, level_of_theory=level, **rounds.extension(previous, labels, frames))

        for role in ROLES:
            new = [frame for frame in sorted(self.ctx.picked[role]) if frame in labels]
            replaced = role == "validation" and self._selection.validation_update == "replace" and new
            self.ctx.datasets[role] = extended(f"{role}_set", None if replaced else self.ctx.datasets[role], new)
            if self.ctx.datasets[role] is None and role != "fixed_validation":
                return self.exit_codes.ERROR_LABELLING_FAILED.format(
                    round=self.ctx.round, pk=self.ctx.labelling.pk, reason=f"no label is left for the {role} set"
                )
        self.ctx.new_labels = extended("new_labels", None, sorted(labels))
        return None

    def check_budget_of_training(self) -> ExitCode | None:
        """End the run where the budgets do not hold a training; labels that are done are trained on otherwise."""
        return self._end_on(budget.limit_before_training(*self._budget_and_costs()), "training")

    def run_training(self) -> ToContext:
        """Evaluate the exploring potential on labels that it has not seen, and train the next one."""
        goes_on = self.inputs.start_from.value == "previous_round"
        inputs = rounds.training_inputs(
            self.exposed_inputs(TrainingWorkChain, namespace="training"),
            seed=self.ctx.seeds["training"],
            start=self.ctx.finished.get("potential") if goes_on else None,
            fixed_validation_set=self.ctx.datasets["fixed_validation"],
            hosts=self._hosts,
        )
        sets = {f"{role}_set": self.ctx.datasets[role] for role in ("training", "validation")}
        # The new potential has other members beside it, which its training knows.
        committee = {"committee": self.ctx.committee} if self.ctx.committee else {}
        evaluated = {"dataset": self.ctx.new_labels, "potential": self.ctx.exploring_potential, **committee}
        step = "evaluation_of_exploring_potential"
        return ToContext(
            **self._submit(EvaluationCalculation, step, **{**inputs["evaluation"], **evaluated}),
            **self._submit(TrainingWorkChain, "training", **sets, **inputs),
        )

    def inspect_training(self) -> ExitCode | None:
        """Stop where there is no new potential, or the exploring one could not be evaluated."""
        return self._failure("training", self.exit_codes.ERROR_TRAINING_FAILED) or self._failure(
            "evaluation_of_exploring_potential", self.exit_codes.ERROR_EVALUATION_FAILED
        )

    def run_assessment(self) -> None:
        """Decide whether the new potential is good enough, and let the next round begin with it."""
        training = self.ctx.training.outputs
        optional = {} if self.ctx.assessment is None else {"previous": self.ctx.assessment}
        if self._hosts:
            types = self._run(find_defect_types, "defect_types", dataset=self.ctx.new_labels, **self._hosts)
            optional["defect_types"] = types
        assessment = self._run(
            assess_round,
            "assessment",
            criteria=self.inputs.convergence,
            exploring=self.ctx.evaluation_of_exploring_potential.outputs.results,
            selection=self.ctx.selection,
            **dict(training.evaluations),
            **optional,
        )
        for verdict in assessment["criteria"]:
            self._report(message_of_verdict(verdict))
        self.out(f"assessments.{self._round}", assessment)
        self.ctx.assessment = assessment
        self.ctx.converged = assessment["converged"]
        self.ctx.exploring_potential = training.compiled_potential
        self.ctx.committee = dict(training.committee) if "committee" in training else {}
        self.ctx.finished = rounds.outputs_of_round(training, self.ctx.datasets)
        self.ctx.seed = self.ctx.seeds["next_round"]
        self.ctx.round += 1

    def results(self) -> ExitCode | None:
        """Set the outputs to the last potential and its data, with a warning where the criteria are not met."""
        self._set_outputs()
        if not self.ctx.converged:
            return self.exit_codes.WARNING_NOT_CONVERGED.format(rounds=self.ctx.round)
        return None

    @property
    def _round(self) -> str:
        """Name of the present round."""
        return f"round_{self.ctx.round:02d}"

    @property
    def _hosts(self) -> Mapping[str, orm.StructureData]:
        """The perfect crystals that are given."""
        return self.inputs.get("hosts", {})

    @property
    def _selection(self) -> SelectionSettings:
        """How frames are picked."""
        return SelectionSettings.from_mapping(self.inputs.selection.parameters.get_dict())

    @property
    def _picks_fixed_set(self) -> bool:
        """Whether this round picks configurations that all later potentials are evaluated on."""
        is_first = self.ctx.round == self.ctx.first_round and self.ctx.datasets["fixed_validation"] is None
        return is_first and self._selection.n_fixed_validation > 0

    @property
    def _needed(self) -> dict[str, int]:
        """How many new labels of each role the round needs at least."""
        return {"training": 1, "validation": int(self.ctx.datasets["validation"] is None)}

    def _label(self, step: str) -> str:
        """Return the call label of ``step`` in this round."""
        return round_label(self.ctx.round, step)

    def _run(self, function: Callable[..., Any], step: str, **inputs: Any) -> Any:
        """Run the calcfunction of ``step``, once, and return what it returns."""
        return run_once(self, function, self._label(step), **inputs)

    def _submit(self, process: type[Process], step: str, **inputs: Any) -> ToContext:
        """Submit the child of ``step``, once; it stands in the context under the name of the step."""
        return ToContext(**{step: submit_once(self, process, self._label(step), **inputs)})

    def _submit_labels(self, step: str, picked: Mapping[str, Mapping[str, orm.StructureData]]) -> ToContext:
        """Submit the labelling of frames, which stand under their roles."""
        structures = {frame: node for frames in picked.values() for frame, node in frames.items()}
        inputs = self.exposed_inputs(LabellingWorkChain, namespace="labelling")
        return self._submit(LabellingWorkChain, step, structures=structures, **inputs)

    def _report(self, message: str) -> None:
        """Report a message on this round."""
        self.report(f"round {self.ctx.round}: {message}")

    def _budget_and_costs(self) -> tuple[Budget, Costs]:
        """Return what the run may cost and what it has cost; nothing is looked up where it may cost anything."""
        allowed = Budget.from_mapping(self.inputs.budget.get_dict())
        return allowed, costs_of_run(self.node) if allowed.limits else Costs()

    def _set_outputs(self) -> None:
        """Set the outputs to what the last complete round made."""
        for name, node in self.ctx.finished.items():
            self.out(name, node)

    def _end_on(self, limit: budget.Limit | None, step: str) -> ExitCode | None:
        """Return the exit code of a budget that does not hold ``step``; None where there is none."""
        if limit is None:
            return None
        self._set_outputs()
        words = budget.words_of_limit(limit, has_potential="potential" in self.ctx.finished)
        return self.exit_codes[code_of_budget(limit.name)].format(step=step, round=self.ctx.round, **words)

    def _nothing_new(self) -> ExitCode:
        """Return that there is nothing to label."""
        self._set_outputs()
        return self.exit_codes.ERROR_NOTHING_NEW.format(round=self.ctx.round)

    def _failure(self, step: str, code: ExitCode) -> ExitCode | None:
        """Return ``code``, filled in, where the child of ``step`` did not finish well."""
        child = self.ctx[step]
        if child.is_finished_ok:
            return None
        self._set_outputs()
        return code.format(round=self.ctx.round, pk=child.pk, reason=failure_message(child))
