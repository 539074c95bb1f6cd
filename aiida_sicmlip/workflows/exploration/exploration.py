"""Exploration of configurations by molecular dynamics, biased along learned collective variables."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ProcessBuilder, ProcessSpec, if_, while_
from aiida_lammps.data.potential import LammpsPotentialData

from aiida_sicmlip.calculations.collective_variables import CollectiveVariablesCalculation, frames_used
from aiida_sicmlip.calculations.functions.derive_seeds import derive_exploration_seeds
from aiida_sicmlip.calculations.functions.filter_frames import filter_trajectory
from aiida_sicmlip.calculations.functions.find_states import find_states
from aiida_sicmlip.calculations.functions.ramp_exploration import ramp_exploration
from aiida_sicmlip.common.labels import segment_label
from aiida_sicmlip.data.compiled_potential import CompiledPotentialData
from aiida_sicmlip.science.defects.states import SHORTEST_VISIT
from aiida_sicmlip.science.protocol_files import Overrides
from aiida_sicmlip.tools.failure_messages import failure_message
from aiida_sicmlip.workflows.base.reattach import run_once, submit_once
from aiida_sicmlip.workflows.exploration.committee import committee_inputs
from aiida_sicmlip.workflows.exploration.ports import define_inputs, define_outcomes
from aiida_sicmlip.workflows.exploration.ramp import inputs_of_ramp, inputs_of_softer_walkers, settings_of_walker
from aiida_sicmlip.workflows.exploration.starts import last_walkers, usable_states
from aiida_sicmlip.workflows.exploration.validation import (
    validate_exploration,
    walker_parameters,
    without_frames,
)
from aiida_sicmlip.workflows.exploration.walker import WalkerWorkChain
from aiida_sicmlip.workflows.exploration.walkers import WalkerSteps
from aiida_sicmlip.workflows.protocols.exploration import fill_exploration
from aiida_sicmlip.workflows.protocols.loop import LoopProtocolMixin, load_codes, load_protocol
from aiida_sicmlip.workflows.protocols.nodes import build_structures, described_potential

_BySegment = Mapping[str, Mapping[str, Any]]
STOPPED_AT_ONCE = WalkerWorkChain.exit_codes.WARNING_STOPPED_AT_ONCE.status


class ExplorationWorkChain(LoopProtocolMixin, WalkerSteps):
    """Run independent walkers from each start structure.

    If a bias is requested, collective variables are first learned for each start structure: from earlier trajectories
    if available, otherwise from short unbiased runs. A share of the walkers can start from states that the earlier
    trajectories visited. If the potential fails during a walker, the frames before the failure are kept, as active
    learning needs them, and the other walkers continue. If the brake stops all walkers before any frame counts, they
    are repeated with less temperature and barrier, as often as ``softer_repeats`` allows.
    """

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        define_inputs(spec)
        spec.inputs.validator = cls.validate_inputs
        spec.outline(
            cls.setup,
            if_(cls.should_run_unbiased)(
                cls.prepare_unbiased,
                while_(cls.window_is_open)(cls.run_unbiased),
                cls.inspect_unbiased,
            ),
            if_(cls.should_run_variables)(
                cls.prepare_variables,
                while_(cls.window_is_open)(cls.run_variables),
                cls.inspect_variables,
            ),
            cls.run_ramp,
            cls.prepare_walkers,
            while_(cls.window_is_open)(cls.run_walkers),
            while_(cls.should_repeat_softer)(
                cls.prepare_softer_walkers,
                while_(cls.window_is_open)(cls.run_walkers),
            ),
            cls.inspect_walkers,
            if_(cls.should_run_filter)(cls.run_filter),
        )
        define_outcomes(spec)

    @classmethod
    def get_builder_from_protocol(
        cls,
        structures: Mapping[str, orm.StructureData] | None = None,
        potential: LammpsPotentialData | CompiledPotentialData | None = None,
        protocol: str | None = None,
        overrides: Overrides = None,
        hosts: Mapping[str, orm.StructureData] | None = None,
    ) -> ProcessBuilder:
        """Return a builder of a single exploration for ``protocol`` of the loop with ``overrides`` on top.

        :param structures: start structures; those of the settings by default.
        :param potential: potential of the walkers; the bootstrap potential of the settings by default.
        :param overrides: as for ``ActiveLearningWorkChain``; settings of other steps are validated but not used.
        :param hosts: host crystals of ``structures``, under the same names.
        :raises InputError: if a setting is invalid.
        """
        settings, codes, switches = load_codes(load_protocol(protocol, overrides), ("lammps", "collective_variables"))
        descriptions = settings["structures"]
        if structures is None:
            structures, hosts = build_structures(descriptions)
        builder = cls.get_builder()
        builder.structures = dict(structures)
        builder.hosts = dict(hosts or {})
        builder.potential = potential or described_potential(
            settings["bootstrap"], "bootstrap", LammpsPotentialData, CompiledPotentialData
        )
        builder.seed = settings["seed"]
        # Settings that the file has for a structure apply to the given structure of the same name.
        described = {name: descriptions.get(name, {}) for name in structures}
        fill_exploration(builder, settings["exploration"], described, codes, switches)
        return builder

    @classmethod
    def validate_inputs(cls, inputs: dict[str, Any], _: Any) -> str | None:
        """Validate the inputs."""
        return validate_exploration(inputs)

    def setup(self) -> None:
        """Derive the seeds, and determine the structures for which variables must be learned."""
        self.ctx.seeds = run_once(self, derive_exploration_seeds, "seeds", seed=self.inputs.seed)
        self.ctx.variables = dict(self.inputs.get("collective_variables", {}))
        self.ctx.earlier = {name: dict(segments) for name, segments in self.inputs.get("earlier", {}).items()}
        self.ctx.earlier_filters = {name: dict(nodes) for name, nodes in self.inputs.get("earlier_filters", {}).items()}
        self.ctx.states, self.ctx.ramped, self.ctx.repeats = {}, {}, 0
        self.ctx.to_learn = []
        if "bias" in self.inputs.walker.exploration:
            self.ctx.to_learn = [name for name in sorted(self.inputs.structures) if name not in self.ctx.variables]
        self.ctx.of_committee = committee_inputs(self)

    @property
    def _without_frames(self) -> list[str]:
        """Structures for which variables must be learned and no frames are available that pass the filter."""
        return without_frames(self.ctx.to_learn, self.inputs)

    def should_run_unbiased(self) -> bool:
        """Return whether unbiased runs are required."""
        return bool(self._without_frames)

    def prepare_unbiased(self) -> None:
        """Derive the seeds of the unbiased runs."""
        starts = {name: {"": self.inputs.structures[name]} for name in self._without_frames}
        self._prepare("unbiased", starts, self.inputs.unbiased.walkers, self.ctx.seeds["unbiased"])

    def run_unbiased(self) -> None:
        """Submit unbiased runs up to the maximum number of concurrent ones."""
        own = self.inputs.get("unbiased_parameters", {})

        def submit(name: str) -> orm.ProcessNode:
            parameters = own.get(self.ctx.start_of[name], self.inputs.unbiased.parameters)
            return self._submit(name, {"parameters": parameters}, excluded=("bias",))

        self.fill_window(submit)

    def inspect_unbiased(self) -> ExitCode | None:
        """Collect the trajectories of the unbiased runs, and determine which of their frames pass the filter."""
        collected = self._collect(*((name, f"unbiased_{name}") for name in ("trajectories", "thermodynamics")))
        trajectories = collected["unbiased_trajectories"]
        filters = {}
        if "filter" in self.inputs:
            filters = self._filtered(trajectories, collected["unbiased_thermodynamics"], "unbiased_filter")
        for name in self._without_frames:
            segments = trajectories.get(name, {})
            if not any(frames_used(segments, filters.get(name, {})).values()):
                failure = self._failure_of(name) | ({"reason": "no frame passes `filter`"} if segments else {})
                return self.exit_codes.ERROR_UNBIASED_RUNS_FAILED.format(name=name, **failure)
            self.ctx.earlier[name], self.ctx.earlier_filters[name] = segments, filters.get(name, {})
        return None

    def should_run_variables(self) -> bool:
        """Return whether collective variables must be learned."""
        return bool(self.ctx.to_learn)

    def prepare_variables(self) -> None:
        """Prepare the trainings of collective variables."""
        self.open_window(
            [f"variables_{name}" for name in self.ctx.to_learn], self.inputs.max_concurrent.value, "trainings"
        )

    def run_variables(self) -> None:
        """Submit the trainings of collective variables."""
        self.fill_window(self._submit_variables)

    def _submit_variables(self, label: str) -> orm.ProcessNode:
        """Submit the training of the variables of one structure."""
        name = label.removeprefix("variables_")
        # Segments are numbered from `s00` for each structure.
        numbers = {key: segment_label(index) for index, key in enumerate(sorted(self.ctx.earlier[name]))}
        filters = self.ctx.earlier_filters.get(name, {})
        return submit_once(
            self,
            CollectiveVariablesCalculation,
            label,
            structure=self.inputs.structures[name],
            host=self.inputs.hosts[name],
            trajectories={number: self.ctx.earlier[name][key] for key, number in numbers.items()},
            filters={numbers[key]: node for key, node in filters.items()},
            seed=self.ctx.seeds["variables"],
            **self.exposed_inputs(CollectiveVariablesCalculation, namespace="variables"),
        )

    def inspect_variables(self) -> ExitCode | None:
        """Collect the collective variables."""
        for label, child in self.window_children().items():
            name = label.removeprefix("variables_")
            if not child.is_finished_ok:
                reason = failure_message(child)
                return self.exit_codes.ERROR_VARIABLES_FAILED.format(name=name, pk=child.pk, reason=reason)
            variables = child.outputs.collective_variables
            self.ctx.variables[name] = variables
            explained = 100 * variables.variance_explained["training"]
            for remark in child.outputs.results.get_dict().get("remarks", []):
                self.report(f"`{name}`: {remark}")
            self.report(
                f"`{name}`: {variables.n_variables} collective variables explain {explained:.0f} % of the variance of "
                f"{len(variables.pairs)} distances"
            )
        return None

    def run_ramp(self) -> None:
        """Scale temperature and barrier of the walkers, unless this round has full values."""
        found = inputs_of_ramp(self.inputs)
        if found is not None:
            self.ctx.ramped = run_once(self, ramp_exploration, "ramp", **found[0])
            self.report(found[1])

    def prepare_walkers(self) -> None:
        """Derive the seeds of the walkers, and determine those that start from states found earlier."""
        if self.ctx.variables:
            self.out("collective_variables", self.ctx.variables)
        own = self.inputs.get("walker_parameters", {})
        starts = {
            name: dict(own.get(name, {})) or {"": self.inputs.structures[name]}
            for name in sorted(self.inputs.structures)
        }
        self._prepare("walker", starts, self.inputs.walkers, self.ctx.seeds["walkers"])
        self._start_from_states()

    def _start_from_states(self) -> None:
        """Assign states that earlier trajectories visited to a share of the walkers, in turn.

        Atoms keep their order, so that variables and host are those of the start structure.
        """
        count = int(self.inputs.start_from_states.value * self.inputs.walkers.value)
        for name in sorted(set(self.inputs.get("hosts", {})) & set(self.inputs.get("earlier", {}))):
            walkers = last_walkers(name, count, self.ctx.start_of, self.ctx.condition_of)
            if not walkers:
                continue
            filters = dict(self.inputs.get("earlier_filters", {}).get(name, {}))
            found = run_once(
                self,
                find_states,
                f"states_{name}",
                start=self.inputs.structures[name],
                host=self.inputs.hosts[name],
                parameters=orm.Dict({"count": len(walkers), "shortest_visit": SHORTEST_VISIT}),
                trajectories=dict(self.inputs.earlier[name]),
                **({"filters": filters} if filters else {}),
            )
            run = {"host": self.inputs.hosts[name], "metadata": self.inputs.walker.exploration.get("metadata", {})}
            states, messages = usable_states(found, run, walker_parameters(name, self.inputs))
            for message in messages:
                self.report(f"`{name}`: {message}")
            self.ctx.states = {**self.ctx.states, **dict(zip(walkers, cycle(states), strict=False))}

    def run_walkers(self) -> None:
        """Submit walkers up to the maximum number of concurrent ones."""

        def submit(name: str) -> orm.ProcessNode:
            where = self.ctx.start_of[name], self.ctx.condition_of[name]
            return self._submit(name, settings_of_walker(self.inputs, self.ctx.ramped, *where))

        self.fill_window(submit)

    def _all_stopped_at_once(self) -> bool:
        """Return whether the brake stopped all walkers before any of their frames counts."""
        return all(walker.exit_status == STOPPED_AT_ONCE for walker in self.window_children().values())

    def should_repeat_softer(self) -> bool:
        """Return whether no walker has frames for the brake's sake, and a repetition is left."""
        return self.ctx.repeats < self.inputs.softer_repeats.value and self._all_stopped_at_once()

    def prepare_softer_walkers(self) -> None:
        """Scale temperature and barrier down once more, and prepare the same walkers again under further numbers."""
        self.ctx.repeats += 1
        scaling, message = inputs_of_softer_walkers(self.inputs, self.ctx.repeats)
        self.ctx.ramped = run_once(self, ramp_exploration, f"softer_{self.ctx.repeats}", **scaling)
        self.report(message)
        before, count = sorted(self.ctx.start_of), len(self.ctx.start_of)
        again = {name: f"walker_{int(name.removeprefix('walker_')) + count:02d}" for name in before}
        for of_walker in ("start_of", "condition_of", "states"):
            self.ctx[of_walker] = {again[name]: value for name, value in self.ctx[of_walker].items()}
        self.open_window(again.values(), self.inputs.max_concurrent.value, "walkers")

    def inspect_walkers(self) -> ExitCode | None:
        """Collect the trajectories, and report failed walkers."""
        self.ctx.collected = self._collect(*((name, name) for name in ("trajectories", "thermodynamics", "colvars")))
        trajectories = [node for segments in self.ctx.collected["trajectories"].values() for node in segments.values()]
        if not trajectories:
            if self._all_stopped_at_once():
                code = self.exit_codes.ERROR_ALL_STOPPED_AT_ONCE
                return code.format(**self._failure_of(*sorted(self.inputs.structures)))
            return self.exit_codes.ERROR_NO_FRAMES.format(**self._failure_of(*sorted(self.inputs.structures)))
        total = sum(trajectory.n_frames for trajectory in trajectories)
        self.report(f"{total} frames in {len(trajectories)} segments of {len(self.ctx.start_of)} walkers")
        return None

    def should_run_filter(self) -> bool:
        """Return whether frames are filtered."""
        return "filter" in self.inputs

    def run_filter(self) -> None:
        """Determine which frames of each segment pass the filter."""
        filters = self._filtered(self.ctx.collected["trajectories"], self.ctx.collected["thermodynamics"], "filter")
        if filters:
            self.out("frame_filters", filters)

    def _filtered(
        self, trajectories: _BySegment, thermodynamics: _BySegment, step: str
    ) -> dict[str, dict[str, orm.ArrayData]]:
        """Return which frames of each segment pass the filter, by start structure and segment.

        :param step: beginning of the call labels.
        """
        filters: dict[str, dict[str, orm.ArrayData]] = {}
        for name, segments in trajectories.items():
            for label, trajectory in segments.items():
                if label not in thermodynamics.get(name, {}):
                    self.report(f"segment `{label}` <{trajectory.pk}> has no energies to filter by; all frames pass")
                    continue
                filters.setdefault(name, {})[label] = run_once(
                    self,
                    filter_trajectory,
                    f"{step}_{label}",
                    parameters=self.inputs.filter,
                    trajectory=trajectory,
                    thermodynamics=thermodynamics[name][label],
                )
        dropped = sum(
            node.base.attributes.get("n_dropped") for segments in filters.values() for node in segments.values()
        )
        self.report(f"the filter removes {dropped} frames")
        return filters
