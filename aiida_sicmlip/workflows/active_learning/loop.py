"""The loop: explore, select, label, train, again until the forces are right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ProcessBuilder, ProcessSpec, ToContext, WorkChain, while_

from aiida_sicmlip.calculations.descriptors import DescriptorsCalculation
from aiida_sicmlip.calculations.evaluation import EvaluationCalculation
from aiida_sicmlip.calculations.functions.derive_seeds import derive_round_seeds
from aiida_sicmlip.calculations.functions.extend_dataset import extend_dataset
from aiida_sicmlip.calculations.functions.select_frames import select_frames
from aiida_sicmlip.common.labels import label_of_place, number_of_segment, round_label, segment_label
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.science.selection.picks import ROLES
from aiida_sicmlip.science.selection.settings import SelectionSettings
from aiida_sicmlip.tools.endings import reason_of_end
from aiida_sicmlip.tools.origins import composition_of_selection
from aiida_sicmlip.workflows.active_learning.assessment import assess_this_round
from aiida_sicmlip.workflows.active_learning.budget import (
    budget_before_exploration,
    budget_before_labelling,
    budget_before_training,
)
from aiida_sicmlip.workflows.active_learning.continuation import begin_with_initial
from aiida_sicmlip.workflows.active_learning.ports import define_inputs, define_outcomes
from aiida_sicmlip.workflows.active_learning.replacements import label_replacements, labels_of_round
from aiida_sicmlip.workflows.active_learning.validation import validate_loop
from aiida_sicmlip.workflows.base.reattach import run_once, submit_once
from aiida_sicmlip.workflows.exploration.exploration import ExplorationWorkChain
from aiida_sicmlip.workflows.labelling.labelling import LabellingWorkChain
from aiida_sicmlip.workflows.protocols.files import Overrides
from aiida_sicmlip.workflows.protocols.loop import LoopProtocolMixin, active_learning_builder, load_protocol
from aiida_sicmlip.workflows.training.training import TrainingWorkChain


class ActiveLearningWorkChain(LoopProtocolMixin, WorkChain):
    """Train a potential in rounds, each on configurations that the one before has not seen.

    A round explores with the best potential so far (the bootstrap potential in round 0), describes all its frames next
    to the trajectories, picks the most novel ones for training and representatives of everything sampled so far for
    validation, labels them from first principles, judges the exploring potential on the new labels, and trains the next
    one. The loop stops when the errors meet the criteria, or after ``max_rounds``.
    """

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        define_inputs(spec)
        spec.inputs.validator = cls.validate_inputs
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
        define_outcomes(spec)

    @classmethod
    def get_builder_from_settings(cls, settings: Mapping[str, Any], store: bool = True) -> ProcessBuilder:
        """Return a builder for complete settings, as `protocol.load_protocol` gives them.

        :param store: whether the start structures become part of the graph; without, the builder is for checks only.
        :raises InputError: with a sentence for whatever is wrong.
        """
        return active_learning_builder(cls, settings, store)

    @classmethod
    def get_builder_from_protocol(cls, protocol: str | None = None, overrides: Overrides = None) -> ProcessBuilder:
        """Return a builder for the protocol called ``protocol`` with ``overrides`` on top.

        :param protocol: `demo`, `fast`, `moderate` (default) or `paper`.
        :param overrides: settings as in `workflows/protocols/active_learning.yaml`, or the path of a YAML file of them,
            which may name its protocol.
        :raises InputError: with a sentence for whatever is wrong.
        """
        return cls.get_builder_from_settings(load_protocol(protocol, overrides))

    @classmethod
    def validate_inputs(cls, inputs: dict[str, Any], _: Any) -> str | None:
        """Check inputs against each other, as far as they are known before the first round."""
        return validate_loop(inputs)

    def setup(self) -> None:
        """Start with the bootstrap potential, and no data but those that are given."""
        self.ctx.converged = False
        self.ctx.seed = self.inputs.seed
        self.ctx.exploring_potential = self.inputs.bootstrap_potential
        self.ctx.committee = {}
        self.ctx.replacement = None
        begin_with_initial(self)

    def should_run_round(self) -> bool:
        """Return whether another round is needed and allowed."""
        return not self.ctx.converged and self.ctx.round - self.ctx.first_round < self.inputs.max_rounds.value

    def check_budget_of_exploration(self) -> ExitCode | None:
        """End the run where the budgets do not hold another round."""
        return budget_before_exploration(self)

    def run_exploration(self) -> ToContext:
        """Explore with the best potential so far, along variables learned from the round before."""
        self.ctx.seeds = run_once(self, derive_round_seeds, self._label("seeds"), seed=self.ctx.seed)
        return ToContext(
            exploration=submit_once(
                self,
                ExplorationWorkChain,
                self._label("exploration"),
                structures=self.inputs.structures,
                hosts=self.inputs.get("hosts", {}),
                potential=self.ctx.exploring_potential,
                seed=self.ctx.seeds["exploration"],
                earlier=self.ctx.trajectories,
                **self.exposed_inputs(ExplorationWorkChain, namespace="exploration"),
            )
        )

    def inspect_exploration(self) -> ExitCode | None:
        """Stop where no walker gave frames."""
        failure = self._failure(self.ctx.exploration, self.exit_codes.ERROR_EXPLORATION_FAILED)
        if failure is None:
            outputs = self.ctx.exploration.outputs
            self.ctx.trajectories = {name: dict(segments) for name, segments in outputs.trajectories.items()}
        return failure

    @property
    def _selection(self) -> SelectionSettings:
        """How frames are picked."""
        return SelectionSettings.from_mapping(self.inputs.selection.parameters.get_dict())

    @property
    def _picks_fixed_set(self) -> bool:
        """Whether this round picks configurations that all later potentials are judged on."""
        is_first = self.ctx.round == self.ctx.first_round and self.ctx.datasets["fixed_validation"] is None
        return is_first and self._selection.n_fixed_validation > 0

    def run_descriptors(self) -> ToContext:
        """Describe all frames of the round, and keep those that the selection may pick."""
        outputs = self.ctx.exploration.outputs
        filters = outputs.frame_filters if "frame_filters" in outputs else {}

        def numbered(segments: Mapping[str, orm.Data]) -> dict[str, orm.Data]:
            first = self.ctx.n_segments
            return {segment_label(first + number_of_segment(label)): segments[label] for label in sorted(segments)}

        known = {name: node for name, node in self.ctx.datasets.items() if node is not None}
        training = {"training_set": known.pop("training")} if "training" in known else {}
        return ToContext(
            description=submit_once(
                self,
                DescriptorsCalculation,
                self._label("descriptors"),
                trajectories={name: numbered(segments) for name, segments in self.ctx.trajectories.items()},
                filters={name: numbered(segments) for name, segments in filters.items()},
                hosts=self.inputs.get("hosts", {}),
                other_sets=known,
                picks=self.ctx.picks,
                earlier=self.ctx.candidates,
                parameters=self.inputs.selection.parameters,
                with_fixed=orm.Bool(self._picks_fixed_set),
                seed=self.ctx.seeds["descriptors"],
                **training,
                **self.exposed_inputs(DescriptorsCalculation, namespace="descriptors"),
            )
        )

    def inspect_descriptors(self) -> ExitCode | None:
        """Stop where there is nothing to pick from."""
        if self.ctx.description.exit_status == DescriptorsCalculation.exit_codes.ERROR_NOTHING_NEW.status:
            return self._nothing_new()
        return self._failure(self.ctx.description, self.exit_codes.ERROR_DESCRIPTION_FAILED)

    def run_selection(self) -> ExitCode | None:
        """Pick the frames to label."""
        picked = run_once(
            self,
            select_frames,
            self._label("selection"),
            parameters=self.inputs.selection.parameters,
            seed=self.ctx.seeds["selection"],
            candidates=self.ctx.description.outputs.candidates,
            **self.ctx.candidates,
        )
        self.ctx.picked = {name: dict(picked.get(name, {})) for name in ROLES}
        self.ctx.selection = picked["summary"]
        name = f"round_{self.ctx.round:02d}"
        self.ctx.candidates = {**self.ctx.candidates, name: self.ctx.description.outputs.candidates}
        self.ctx.picks = {**self.ctx.picks, name: picked["picks"]}
        self.ctx.n_segments += sum(map(len, self.ctx.trajectories.values()))
        needed = [name for name in ("training", "validation") if self.ctx.datasets[name] is None]
        if not self.ctx.picked["training"] or any(not self.ctx.picked[name] for name in needed):
            return self._nothing_new()
        summary = picked["summary"].get_dict()
        described = self.ctx.description.outputs.results.get_dict()
        self.report(
            f"round {self.ctx.round}: picked {summary['n_training']} of {summary['n_training_asked']} training and "
            f"{summary['n_validation']} of {summary['n_validation_asked']} validation configurations from "
            f"{described['n_frames']} frames, of which {described['n_overlapping']} had overlapping atoms and "
            f"{described['n_filtered']} did not pass the filter"
        )
        self._report_composition(picked["summary"].creator, picked["picks"])
        return None

    def fit_labelling_to_budget(self) -> ExitCode | None:
        """Leave the last picks out where the budgets do not hold all their labels, or end the run."""
        return budget_before_labelling(self)

    def _report_composition(self, selection: orm.ProcessNode, picks: orm.ArrayData) -> None:
        """Say how many configurations were picked from which start structure, at which temperature."""
        roles = [ROLES[int(role)] for role in picks.get_array("role")]
        shares = composition_of_selection(selection, roles, picks.get_array("segment").tolist())
        parts = [
            f"{share.origin.structure}{f' at {share.origin.temperature:g} K' if share.origin.temperature else ''}: "
            f"{sum(share.picks.values())} of {share.n_frames} frames"
            for share in shares
        ]
        self.report(f"round {self.ctx.round}: by start structure, {'; '.join(parts)}")

    def run_labelling(self) -> ToContext:
        """Label the picked frames."""
        return ToContext(
            labelling=submit_once(
                self,
                LabellingWorkChain,
                self._label("labelling"),
                structures={label: node for picked in self.ctx.picked.values() for label, node in picked.items()},
                **self.exposed_inputs(LabellingWorkChain, namespace="labelling"),
            )
        )

    def inspect_labelling(self) -> ExitCode | None:
        """Stop where too many labels failed."""
        return self._failure(self.ctx.labelling, self.exit_codes.ERROR_LABELLING_FAILED)

    def run_replacements(self) -> ToContext | None:
        """Label other frames in the places of those whose labels have failed."""
        self.ctx.replacement = None
        return label_replacements(self)

    def inspect_replacements(self) -> None:
        """Say where replacements failed, too; the round goes on with what there is."""
        replacement = self.ctx.replacement
        if replacement is not None and not replacement.is_finished_ok:
            reason = reason_of_end(replacement)
            self.report(f"round {self.ctx.round}: the replacements <{replacement.pk}> failed: {reason}")

    def run_datasets(self) -> ExitCode | None:
        """Extend the sets by their new labels, or replace one, and gather all new labels in a set of their own."""
        labels = labels_of_round(self)
        level = self.ctx.labelling.outputs.level_of_theory

        def extended(name: str, previous: LabelledDataSetData | None, frames: list[str]) -> LabelledDataSetData | None:
            if not frames:
                return previous
            start = previous.n_frames if previous is not None else 0
            places = {label_of_place(start + index): labels[frame] for index, frame in enumerate(frames)}
            given = {} if previous is None else {"previous": previous}
            return run_once(self, extend_dataset, self._label(name), level_of_theory=level, **given, **places)

        for name in ROLES:
            new = [frame for frame in sorted(self.ctx.picked[name]) if frame in labels]
            replaced = name == "validation" and self._selection.validation_update == "replace" and new
            self.ctx.datasets[name] = extended(f"{name}_set", None if replaced else self.ctx.datasets[name], new)
            if self.ctx.datasets[name] is None and name != "fixed_validation":
                return self.exit_codes.ERROR_LABELLING_FAILED.format(
                    round=self.ctx.round, pk=self.ctx.labelling.pk, reason=f"no label is left for the {name} set"
                )
        self.ctx.new_labels = extended("new_labels", None, sorted(labels))
        return None

    def check_budget_of_training(self) -> ExitCode | None:
        """End the run where the budgets do not hold a training; labels that are done are trained on otherwise."""
        return budget_before_training(self)

    def run_training(self) -> ToContext:
        """Judge the exploring potential on labels that it has not seen, and train the next one."""
        inputs = self.exposed_inputs(TrainingWorkChain, namespace="training")
        inputs["training"] = {**inputs["training"], "seed": self.ctx.seeds["training"]}
        if self.inputs.start_from.value == "previous_round" and "potential" in self.ctx.finished:
            # The earlier model has its prior in it.
            inputs["training"].pop("prior", None)
            inputs.pop("prior_settings", None)
            inputs["training"]["initial_potential"] = self.ctx.finished["potential"]
        if self.ctx.datasets["fixed_validation"] is not None:
            inputs["further_sets"] = {"fixed_validation": self.ctx.datasets["fixed_validation"]}
        inputs["evaluation"] = {**inputs["evaluation"], "hosts": self.inputs.get("hosts", {})}
        # The new potential has other members beside it, which its training knows.
        committee = {"committee": self.ctx.committee} if self.ctx.committee else {}
        return ToContext(
            exploring_evaluation=submit_once(
                self,
                EvaluationCalculation,
                self._label("evaluation_of_exploring_potential"),
                dataset=self.ctx.new_labels,
                potential=self.ctx.exploring_potential,
                **{**inputs["evaluation"], **committee},
            ),
            training=submit_once(
                self,
                TrainingWorkChain,
                self._label("training"),
                training_set=self.ctx.datasets["training"],
                validation_set=self.ctx.datasets["validation"],
                **inputs,
            ),
        )

    def inspect_training(self) -> ExitCode | None:
        """Stop where there is no new potential, or the exploring one could not be judged."""
        return self._failure(self.ctx.training, self.exit_codes.ERROR_TRAINING_FAILED) or self._failure(
            self.ctx.exploring_evaluation, self.exit_codes.ERROR_EVALUATION_FAILED
        )

    def run_assessment(self) -> None:
        """Decide whether the new potential is good enough, and hand out what there is so far."""
        training = self.ctx.training
        assessment = assess_this_round(self)
        self.ctx.assessment = assessment
        self.ctx.converged = assessment["converged"]
        self.ctx.exploring_potential = training.outputs.compiled_potential
        self.ctx.committee = dict(training.outputs.committee) if "committee" in training.outputs else {}
        self.ctx.seed = self.ctx.seeds["next_round"]
        self.out(f"assessments.round_{self.ctx.round:02d}", assessment)
        self.ctx.finished = {
            "potential": training.outputs.potential,
            "compiled_potential": training.outputs.compiled_potential,
            **{f"{name}_set": node for name, node in self.ctx.datasets.items() if node is not None},
        }
        if "further_compilations" in training.outputs:
            self.ctx.finished["further_compilations"] = dict(training.outputs.further_compilations)
        self.ctx.round += 1

    def results(self) -> ExitCode | None:
        """Hand out the last potential, with a warning where the criteria are not met."""
        self.hand_out()
        if not self.ctx.converged:
            return self.exit_codes.WARNING_NOT_CONVERGED.format(rounds=self.ctx.round)
        return None

    def hand_out(self) -> None:
        """Hand out what the last complete round made."""
        for name, node in self.ctx.finished.items():
            self.out(name, node)

    def _label(self, step: str) -> str:
        """Return the call label of ``step`` in this round."""
        return round_label(self.ctx.round, step)

    def _nothing_new(self) -> ExitCode:
        """Return that there is nothing to label, and hand out the earlier rounds."""
        self.hand_out()
        return self.exit_codes.ERROR_NOTHING_NEW.format(round=self.ctx.round)

    def _failure(self, child: orm.ProcessNode, code: ExitCode) -> ExitCode | None:
        """Return ``code``, filled in, where ``child`` did not finish well, and hand out the earlier rounds."""
        if child.is_finished_ok:
            return None
        self.hand_out()
        reason = reason_of_end(child)
        return code.format(round=self.ctx.round, pk=child.pk, reason=reason)
