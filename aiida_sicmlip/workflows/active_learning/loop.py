"""Active-learning loop: explore, select, label and train until the errors meet the convergence criteria."""

from __future__ import annotations

from aiida import orm
from aiida.engine import ExitCode, ProcessSpec, ToContext, if_, while_

from aiida_sicmlip.calculations.descriptors import DescriptorsCalculation
from aiida_sicmlip.calculations.evaluation import EvaluationCalculation
from aiida_sicmlip.calculations.functions.assess_round import assess_round
from aiida_sicmlip.calculations.functions.derive_seeds import derive_round_seeds
from aiida_sicmlip.calculations.functions.extend_dataset import extend_dataset
from aiida_sicmlip.calculations.functions.find_defect_types import find_defect_types
from aiida_sicmlip.calculations.functions.merge_datasets import merge_datasets
from aiida_sicmlip.calculations.functions.select_frames import select_frames
from aiida_sicmlip.calculations.functions.select_replacements import select_replacements
from aiida_sicmlip.common.labels import REPLACED
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.science.costs.budgets import remaining_labels
from aiida_sicmlip.science.evaluation.assessment import message_of_verdict
from aiida_sicmlip.science.evaluation.fitness import fitness_sentence
from aiida_sicmlip.science.selection.picks import ROLES
from aiida_sicmlip.tools.continuation import evaluation_of_committee
from aiida_sicmlip.tools.failure_messages import failure_message
from aiida_sicmlip.workflows.active_learning import budget, rounds
from aiida_sicmlip.workflows.active_learning.continuation import initial_context
from aiida_sicmlip.workflows.active_learning.final_run import FinalRunWorkChain
from aiida_sicmlip.workflows.active_learning.ports import code_of_budget
from aiida_sicmlip.workflows.active_learning.steps import RoundSteps
from aiida_sicmlip.workflows.base.reattach import called
from aiida_sicmlip.workflows.exploration.exploration import ExplorationWorkChain
from aiida_sicmlip.workflows.training.training import TrainingWorkChain


class ActiveLearningWorkChain(RoundSteps):
    """Train a potential by active learning, in rounds of exploration, selection, labelling and training.

    A round explores with the latest potential (the bootstrap potential in round 0), computes the descriptors of all
    frames where the trajectories are stored, picks the most novel frames for training and representatives of all frames
    sampled so far for validation, labels them, evaluates the exploring potential on the new labels, and trains the next
    potential. The loop stops when the errors meet the criteria, and stay small along a final free run where one is
    asked for, or after ``max_rounds``.
    """

    # The context, which only this class reads and writes. It holds the child processes of a round under the names of
    # their steps: `exploration`, `descriptors`, `labelling`, `replacement_labelling` (None if nothing is replaced),
    # `evaluation_of_exploring_potential`, `training`, `final_run`. A role is one of `ROLES`: what a configuration is
    # labelled for.
    #
    # first_round, round   int                                 numbers of the first and of the current round
    # n_segments           int                                 segments of all rounds up to the last selection
    # seed, seeds          Int, {step: Int}                    seed of the round, and seeds derived from it
    # exploring_potential  classical or compiled potential     explores the round
    # committee            {member: compiled potential}        trained along with the exploring potential
    # evaluation_of_committee  Dict | None                     by which its disagreement is calibrated
    # trajectories         {structure: {segment: trajectory}}  of the last exploration
    # filters              {structure: {segment: ArrayData}}   of the same, the frames that may be used
    # candidates           {round: CandidateFramesData}        of all rounds
    # picks                {round: ArrayData}                  of all rounds; replacements under `round_00_replacements`
    # picked               {role: {frame: StructureData}}      to be labelled in the round
    # selection            Dict                                summary of the round's selection
    # datasets             {role: LabelledDataSetData | None}  of all rounds
    # new_labels           LabelledDataSetData                 all labels of the round
    # assessment           Dict | None                         of the last complete round
    # converged            bool                                whether that round met the criteria
    # tested               Dict | None                         of the final run of that round
    # finished             {output: node}                      outputs of the last complete round

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
                if_(cls.should_run_final_run)(
                    cls.run_final_run,
                    cls.inspect_final_run,
                ),
                cls.next_round,
            ),
            cls.results,
        )

    def setup(self) -> None:
        """Initialise the context from the inputs."""
        self.ctx.update(initial_context(self.inputs))

    def should_run_round(self) -> bool:
        """Return whether the loop is not converged and another round is allowed."""
        return not self.ctx.converged and self.ctx.round - self.ctx.first_round < self.inputs.max_rounds.value

    def check_budget_of_exploration(self) -> ExitCode | None:
        """Finish if the budget does not suffice for another round."""
        return self._finish_on(budget.limit_before_exploration(self._needed, *self._budget_and_costs()), "exploration")

    def run_exploration(self) -> ToContext:
        """Explore with the latest potential, biased along variables learned from the previous round."""
        self.ctx.seeds = self._run(derive_round_seeds, "seeds", seed=self.ctx.seed)
        return self._submit(
            ExplorationWorkChain,
            "exploration",
            structures=self.inputs.structures,
            hosts=self._hosts,
            potential=self.ctx.exploring_potential,
            seed=self.ctx.seeds["exploration"],
            earlier=self.ctx.trajectories,
            earlier_filters=self.ctx.filters,
            **rounds.committee_inputs(self.ctx.committee, self.ctx.evaluation_of_committee),
            round_number=orm.Int(self.ctx.round),
            **self.exposed_inputs(ExplorationWorkChain, namespace="exploration"),
        )

    def inspect_exploration(self) -> ExitCode | None:
        """Check that the walkers have produced frames."""
        failure = self._failure("exploration", self.exit_codes.ERROR_EXPLORATION_FAILED)
        if failure is None:
            self.ctx.trajectories = rounds.nodes_by_segment(self.ctx.exploration, "trajectories")
            self.ctx.filters = rounds.nodes_by_segment(self.ctx.exploration, "frame_filters")
        return failure

    def run_descriptors(self) -> ToContext:
        """Compute the descriptors of all frames of the round, and keep the candidates for the selection."""
        return self._submit(
            DescriptorsCalculation,
            "descriptors",
            trajectories=rounds.renumber_segments(self.ctx.trajectories, self.ctx.n_segments),
            filters=rounds.renumber_segments(self.ctx.filters, self.ctx.n_segments),
            hosts=self._hosts,
            picks=self.ctx.picks,
            earlier=self.ctx.candidates,
            **rounds.selection_inputs(self.inputs.selection.parameters, self.ctx.exploration),
            with_fixed=orm.Bool(self._picks_fixed_set),
            seed=self.ctx.seeds["descriptors"],
            **rounds.known_sets(self.ctx.datasets),
            **rounds.predicting_potentials(self._selection, self.ctx.exploring_potential, self.ctx.committee),
            **self.exposed_inputs(DescriptorsCalculation, namespace="descriptors"),
        )

    def inspect_descriptors(self) -> ExitCode | None:
        """Check that there are candidates."""
        if self.ctx.descriptors.exit_status == DescriptorsCalculation.exit_codes.ERROR_NOTHING_NEW.status:
            return self._nothing_new()
        return self._failure("descriptors", self.exit_codes.ERROR_DESCRIPTION_FAILED)

    def run_selection(self) -> ExitCode | None:
        """Pick the frames to label."""
        new, results = self.ctx.descriptors.outputs.candidates, self.ctx.descriptors.outputs.results
        earlier = self.ctx.candidates
        window = rounds.selection_inputs(self.inputs.selection.parameters, self.ctx.exploration)
        seed = self.ctx.seeds["selection"]
        picked = self._run(select_frames, "selection", seed=seed, candidates=new, **window, **earlier)
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
        """Drop the last picks if the budget does not suffice for all labels, or finish."""
        picks = self.ctx.picks[self._round]
        trimmed = budget.trim_to_budget(self.ctx.picked, self._needed, *self._budget_and_costs(), picks)
        self.ctx.picked = trimmed.picked
        if trimmed.message is not None:
            self._report(trimmed.message)
        return self._finish_on(trimmed.limit, "labelling")

    def run_labelling(self) -> ToContext:
        """Label the picked frames."""
        return self._submit_labels("labelling", self.ctx.picked)

    def inspect_labelling(self) -> ExitCode | None:
        """Check that enough labels have been computed."""
        return self._failure("labelling", self.exit_codes.ERROR_LABELLING_FAILED)

    def run_replacements(self) -> ToContext | None:
        """Label further candidates instead of frames whose labels have failed, at most ``max_replacements``."""
        self.ctx.replacement_labelling = None
        picks = self.ctx.picks[self._round]
        failed = rounds.failed_labels(picks, self.ctx.picked, self.ctx.labelling.outputs.labels)
        count = min(len(failed), self.inputs.max_replacements.value)
        # When the step is repeated after an interruption, its own replacements already count towards the budget.
        if count and not called(self.node, self._label(REPLACED)):
            left = remaining_labels(*self._budget_and_costs())
            count = count if left is None else min(count, left[0])
        if not count:
            return None
        earlier = dict(self.ctx.candidates)
        inputs = {"picks": picks, "candidates": earlier.pop(self._round), **earlier}
        window = rounds.selection_inputs(self.inputs.selection.parameters, self.ctx.exploration)
        selected = self._run(select_replacements, REPLACED, failed=orm.List(failed[:count]), **window, **inputs)
        replacements = {role: dict(selected.get(role, {})) for role in ROLES}
        n_replacements = sum(map(len, replacements.values()))
        if not n_replacements:
            self._report(f"{len(failed)} labels failed, and no candidates are left to replace them")
            return None
        # As all picks, these are excluded from the selections of later rounds.
        self.ctx.picks = {**self.ctx.picks, f"{self._round}_replacements": selected["picks"]}
        self.ctx.picked = {role: {**self.ctx.picked[role], **replacements[role]} for role in ROLES}
        self._report(f"{len(failed)} labels failed; labelling {n_replacements} replacements")
        return self._submit_labels("replacement_labelling", replacements)

    def inspect_replacements(self) -> None:
        """Report failed replacements; the round continues with the labels that are available."""
        child = self.ctx.replacement_labelling
        if child is not None and not child.is_finished_ok:
            self._report(f"the labelling of replacements <{child.pk}> failed: {failure_message(child)}")

    def run_datasets(self) -> ExitCode | None:
        """Extend the data sets, or replace them (then validation becomes training), and collect all new labels."""
        labels = rounds.labels_of_round(self.ctx.labelling, self.ctx.replacement_labelling)
        level = self.ctx.labelling.outputs.level_of_theory

        def extended(step: str, previous: LabelledDataSetData | None, frames: list[str]) -> LabelledDataSetData | None:
            if not frames:
                return previous
            return self._run(extend_dataset, step, level_of_theory=level, **rounds.extension(previous, labels, frames))

        new = {role: [frame for frame in sorted(self.ctx.picked[role]) if frame in labels] for role in ROLES}
        earlier, merged = rounds.sets_to_extend(self._selection, self.ctx.datasets, new)
        if merged:
            earlier["training"] = self._run(merge_datasets, "replaced_validation", **merged)
        for role in ROLES:
            self.ctx.datasets[role] = extended(f"{role}_set", earlier[role], new[role])
            if self.ctx.datasets[role] is None and role != "fixed_validation":
                return self.exit_codes.ERROR_LABELLING_FAILED.format(
                    round=self.ctx.round, pk=self.ctx.labelling.pk, reason=f"no label is left for the {role} set"
                )
        self.ctx.new_labels = extended("new_labels", None, sorted(labels))
        return None

    def check_budget_of_training(self) -> ExitCode | None:
        """Finish if the budget does not suffice for a training."""
        return self._finish_on(budget.limit_before_training(*self._budget_and_costs()), "training")

    def run_training(self) -> ToContext:
        """Evaluate the exploring potential on the new labels, which it has not seen, and train the next potential."""
        from_previous = self.inputs.start_from.value == "previous_round"
        inputs = rounds.training_inputs(
            self.exposed_inputs(TrainingWorkChain, namespace="training"),
            seed=self.ctx.seeds["training"],
            start=self.ctx.finished.get("potential") if from_previous else None,
            fixed_validation_set=self.ctx.datasets["fixed_validation"],
            hosts=self._hosts,
            hours_left=budget.hours_left(*self._budget_and_costs()),
        )
        sets = {f"{role}_set": self.ctx.datasets[role] for role in ("training", "validation")}
        # The committee of the new potential is known to its training.
        committee = rounds.committee_inputs(self.ctx.committee, None)
        evaluated = {"dataset": self.ctx.new_labels, "potential": self.ctx.exploring_potential, **committee}
        step = "evaluation_of_exploring_potential"
        return ToContext(
            **self._submit(EvaluationCalculation, step, **{**inputs["evaluation"], **evaluated}),
            **self._submit(TrainingWorkChain, "training", **sets, **inputs),
        )

    def inspect_training(self) -> ExitCode | None:
        """Check that the training and the evaluation of the exploring potential have succeeded."""
        return self._failure("training", self.exit_codes.ERROR_TRAINING_FAILED) or self._failure(
            "evaluation_of_exploring_potential", self.exit_codes.ERROR_EVALUATION_FAILED
        )

    def run_assessment(self) -> None:
        """Check the convergence criteria, and use the new potential in the next round."""
        training, exploring = self.ctx.training.outputs, self.ctx.evaluation_of_exploring_potential.outputs.results
        optional = {} if self.ctx.assessment is None else {"previous": self.ctx.assessment}
        if self._hosts:
            types = self._run(find_defect_types, "defect_types", dataset=self.ctx.new_labels, hosts=dict(self._hosts))
            optional["defect_types"] = types
        given = {"criteria": self.inputs.convergence, "exploring": exploring, "selection": self.ctx.selection}
        assessment = self._run(assess_round, "assessment", **given, **dict(training.evaluations), **optional)
        for verdict in assessment["criteria"]:
            self._report(message_of_verdict(verdict))
        self.out(f"assessments.{self._round}", assessment)
        self.ctx.assessment = assessment
        self.ctx.converged = assessment["converged"]
        self.ctx.exploring_potential = training.compiled_potential
        self.ctx.committee = dict(training.committee) if "committee" in training else {}
        self.ctx.evaluation_of_committee = evaluation_of_committee(exploring, training.evaluations.validation)
        self.ctx.tested = None
        self.ctx.finished = rounds.outputs_of_round(training, self.ctx.datasets)

    def should_run_final_run(self) -> bool:
        """Return whether the criteria are met, and a final run is asked for."""
        return self.ctx.converged and "final_run" in self.inputs

    def run_final_run(self) -> ToContext | ExitCode:
        """Run free dynamics with the new potential, with labels along them; finish if the budget does not suffice."""
        # When the step is repeated after an interruption, its own labels already count towards the budget.
        if not called(self.node, self._label("final_run")):
            needed = {"training": rounds.labels_of_final_run(self.inputs)}
            limit = budget.limit_before_exploration(needed, *self._budget_and_costs())
            if limit is not None:
                return self._finish_on(limit, "final run")
        return self._submit(
            FinalRunWorkChain,
            "final_run",
            potential=self.ctx.exploring_potential,
            seed=self.ctx.seeds["exploration"],
            first_segment=orm.Int(self.ctx.n_segments),
            **rounds.final_run_inputs(self.inputs, self.exposed_inputs),
        )

    def inspect_final_run(self) -> ExitCode | None:
        """If the potential did not pass, train on the labels in another round."""
        failure = self._failure("final_run", self.exit_codes.ERROR_FINAL_RUN_FAILED)
        if failure is not None:
            return failure
        outputs = self.ctx.final_run.outputs
        self.ctx.tested, self.ctx.converged = outputs.results, outputs.results["met"]
        self.ctx.n_segments += sum(map(len, outputs.trajectories.values())) if "trajectories" in outputs else 0
        self.out(f"final_runs.{self._round}", outputs.results)
        self._report(f"final run {'passed' if self.ctx.converged else 'not passed'}: {outputs.results['message']}")
        if not self.ctx.converged and "labelled_set" in outputs:
            sets = {"dataset_00": self.ctx.datasets["training"], "dataset_01": outputs.labelled_set}
            self.ctx.datasets["training"] = self._run(merge_datasets, "final_run_training_set", **sets)
        return None

    def next_round(self) -> None:
        """Go on to the next round."""
        self.ctx.seed = self.ctx.seeds["next_round"]
        self.ctx.round += 1

    def results(self) -> ExitCode | None:
        """Set the outputs to the last potential and its data sets, with a warning if the criteria are not met."""
        self._set_outputs()
        if not self.ctx.converged:
            fitness = fitness_sentence(self.ctx.assessment, self.ctx.tested)
            return self.exit_codes.WARNING_NOT_CONVERGED.format(rounds=self.ctx.round, fitness=fitness)
        return None

    @property
    def _index(self) -> int:
        """Number of the current round."""
        return int(self.ctx.round)

    @property
    def _picks_fixed_set(self) -> bool:
        """Whether this round picks the fixed validation set, on which all later potentials are evaluated."""
        is_first = self.ctx.round == self.ctx.first_round and self.ctx.datasets["fixed_validation"] is None
        return is_first and self._selection.n_fixed_validation > 0

    @property
    def _needed(self) -> dict[str, int]:
        """The minimum number of new labels of each role in this round."""
        return {"training": 1, "validation": int(self.ctx.datasets["validation"] is None)}

    def _set_outputs(self) -> None:
        """Set the outputs to those of the last complete round."""
        for name, node in self.ctx.finished.items():
            self.out(name, node)

    def _finish_on(self, limit: budget.Limit | None, step: str) -> ExitCode | None:
        """Return the exit code for a budget that does not suffice for ``step``; None if ``limit`` is None."""
        if limit is None:
            return None
        self._set_outputs()
        fitness = fitness_sentence(self.ctx.assessment, self.ctx.tested) if "potential" in self.ctx.finished else None
        values = budget.message_values(limit, fitness)
        return self.exit_codes[code_of_budget(limit.name)].format(step=step, round=self.ctx.round, **values)

    def _nothing_new(self) -> ExitCode:
        """Return the exit code for a round without candidates."""
        self._set_outputs()
        return self.exit_codes.ERROR_NOTHING_NEW.format(round=self.ctx.round)

    def _failure(self, step: str, code: ExitCode) -> ExitCode | None:
        """Return the formatted exit code ``code`` if the child process of ``step`` has failed; None otherwise."""
        child = self.ctx[step]
        if child.is_finished_ok:
            return None
        self._set_outputs()
        return code.format(round=self.ctx.round, pk=child.pk, reason=failure_message(child))
