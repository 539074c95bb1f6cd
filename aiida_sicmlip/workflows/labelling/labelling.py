"""Labelling of configurations from first principles or with a reference potential."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.common import AttributeDict
from aiida.engine import ExitCode, ProcessBuilder, ProcessSpec, while_

from aiida_sicmlip.calculations.functions.derive_level_of_theory import derive_level_of_theory
from aiida_sicmlip.calculations.functions.derive_reference_level import derive_reference_level
from aiida_sicmlip.calculations.reference_label import ReferenceLabelCalculation
from aiida_sicmlip.calculations.validation import PW, number_port, validate_code
from aiida_sicmlip.data.level_of_theory import LevelOfTheoryData
from aiida_sicmlip.science.labels.pw_settings import canonical_namelists
from aiida_sicmlip.science.protocol_files import Overrides
from aiida_sicmlip.tools.failure_messages import failure_message
from aiida_sicmlip.workflows.base.reattach import run_once, submit_once
from aiida_sicmlip.workflows.base.sliding_window import SlidingWindowWorkChain
from aiida_sicmlip.workflows.labelling.pw_label import PwLabelWorkChain
from aiida_sicmlip.workflows.labelling.pw_namelists import mistake_in_namelists
from aiida_sicmlip.workflows.protocols.labelling import fill_labelling
from aiida_sicmlip.workflows.protocols.loop import LoopProtocolMixin, load_codes, load_protocol

REJECTED = PwLabelWorkChain.exit_codes.ERROR_FORCES_TOO_LARGE
"""Exit code of a label with forces above ``max_force``, identical for DFT and reference potentials."""


def validate_parameters(parameters: orm.Dict | None, _: Any) -> str | None:
    """Validate that the parameters of pw.x describe a self-consistent calculation with forces."""
    if parameters is None:
        return None
    mistake = mistake_in_namelists(parameters.get_dict())
    if mistake is not None:
        return mistake
    namelists = canonical_namelists(parameters.get_dict())
    if namelists != parameters.get_dict():
        # The calculation refuses other cases, but only when it is submitted, after the exploration.
        return f"write namelists in capitals and keywords of pw.x in lower case: {namelists}"
    calculation = namelists.get("CONTROL", {}).get("calculation", "scf")
    if calculation != "scf":
        return f"`CONTROL.calculation` is {calculation!r}; a label is a self-consistent calculation: set it to 'scf'."
    if not namelists.get("CONTROL", {}).get("tprnfor", False):
        return "`CONTROL.tprnfor` is not set; a label needs forces: set it to true."
    cutoff = namelists.get("SYSTEM", {}).get("ecutwfc")
    if isinstance(cutoff, bool) or not isinstance(cutoff, (int, float)) or not cutoff > 0:
        return f"`SYSTEM.ecutwfc` is {cutoff!r}; give the cutoff of the wave functions in Ry, above zero."
    return None


class LabellingWorkChain(LoopProtocolMixin, SlidingWindowWorkChain):
    """Run one calculation for each configuration, at most ``max_concurrent`` at a time.

    The calculation is a ``PwLabelWorkChain`` or, if `reference` is given, a ``ReferenceLabelCalculation``; both
    have the same output for the label. Labels that are rejected for their forces are no outputs and are
    not counted in ``allowed_failed_fraction``, as they do not indicate a problem of the machine or the settings.
    """

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        spec.input_namespace(
            "structures",
            dynamic=True,
            valid_type=orm.StructureData,
            help="Configurations to label; each label has the name of its configuration.",
        )
        spec.expose_inputs(
            PwLabelWorkChain,
            namespace="pw",
            exclude=("pw.structure", "kpoints_distance", "kpoints_force_parity"),
            namespace_options={
                "required": False,
                "populate_defaults": False,
                "help": "Inputs of labels from first principles.",
            },
        )
        spec.inputs["pw"]["kpoints"].required = True
        spec.inputs["pw"]["pw"]["code"].validator = validate_code(PW)
        spec.inputs["pw"]["pw"]["parameters"].validator = validate_parameters
        spec.expose_inputs(
            ReferenceLabelCalculation,
            namespace="reference",
            exclude=("structure",),
            namespace_options={
                "required": False,
                "populate_defaults": False,
                "help": "Inputs of labels with a classical potential, instead of `pw`.",
            },
        )
        # The structures are not inputs of this namespace; `validate_inputs` checks them with the potential.
        spec.inputs["reference"].validator = None
        spec.input(
            "max_concurrent",
            **number_port(
                "max_concurrent",
                "Maximum number of labels computed at the same time; reduced if the daemon has too few slots.",
                10,
                at_least=1,
            ),
        )
        spec.input(
            "allowed_failed_fraction",
            **number_port(
                "allowed_failed_fraction",
                "The work chain fails if a larger fraction of the labels fails.",
                0.2,
                kind=orm.Float,
                at_least=0,
                below=1,
            ),
        )
        spec.inputs.validator = cls.validate_inputs
        spec.outline(
            cls.setup,
            while_(cls.window_is_open)(
                cls.run_labels,
            ),
            cls.results,
            cls.inspect_labels,
        )
        spec.output_namespace(
            "labels",
            dynamic=True,
            valid_type=orm.TrajectoryData,
            help="`output_trajectory` of each calculation: positions and cell (A), energy (eV) and forces (eV/A).",
        )
        spec.output("level_of_theory", valid_type=LevelOfTheoryData, help="Level of theory of all labels.")
        spec.exit_code(
            401,
            "ERROR_TOO_MANY_FAILED",
            message="{failed} of {total} labels failed, more than `allowed_failed_fraction` allows. The first, "
            "`{name}` <{pk}>: {reason}",
        )

    @classmethod
    def get_builder_from_protocol(
        cls,
        structures: Mapping[str, orm.StructureData],
        protocol: str | None = None,
        overrides: Overrides = None,
    ) -> ProcessBuilder:
        """Return a builder of a single labelling for ``protocol`` of the loop with ``overrides`` on top.

        :param structures: configurations to label, by name.
        :param overrides: as for ``ActiveLearningWorkChain``; settings of other steps are validated but not used.
        :raises InputError: if a setting is invalid.
        """
        settings = load_protocol(protocol, overrides)
        code = "pw" if settings["labelling"]["reference"] is None else "reference_label"
        settings, codes, _ = load_codes(settings, (code,))
        builder = cls.get_builder()
        builder.structures = dict(structures)
        fill_labelling(builder, settings["labelling"], codes, structures)
        return builder

    @classmethod
    def validate_inputs(cls, inputs: dict[str, Any], _: Any) -> str | None:
        """Validate the inputs."""
        if not inputs.get("structures"):
            return None
        methods = [name for name in ("pw", "reference") if inputs.get(name)]
        if len(methods) != 1:
            return (
                f"{'both `pw` and `reference` are' if methods else 'neither `pw` nor `reference` is'} given; give "
                "either `pw` (labels from first principles) or `reference` (labels with a potential)."
            )
        for name, structure in inputs["structures"].items():
            message = cls._validate_structure(name, structure, inputs)
            if message:
                return message
        return None

    @classmethod
    def _validate_structure(cls, name: str, structure: orm.StructureData, inputs: dict[str, Any]) -> str | None:
        """Validate that a structure can be labelled."""
        if inputs.get("reference"):
            message = ReferenceLabelCalculation.validate_inputs({**inputs["reference"], "structure": structure}, None)
            return (
                f"for structure `{name}`: {message.replace('`potential`', '`reference.potential`')}"
                if message
                else None
            )
        pseudos = set(inputs["pw"].get("pw", {}).get("pseudos", {}))
        missing = sorted(set(structure.get_kind_names()) - pseudos) if pseudos else []
        if missing:
            return (
                f"`pw.pw.pseudos` has no pseudopotential for {', '.join(missing)}, which structure `{name}` contains; "
                f"it has {', '.join(sorted(pseudos))}."
            )
        return None

    def setup(self) -> None:
        """Prepare the labels, and derive the level of theory."""
        self.open_window(self.inputs.structures, self.inputs.max_concurrent.value, "labels")
        if "reference" in self.inputs:
            potential = self.inputs.reference.potential
            self.ctx.level_of_theory = run_once(self, derive_reference_level, "level_of_theory", potential=potential)
            return
        pw = self.inputs.pw.pw
        self.ctx.level_of_theory = run_once(
            self,
            derive_level_of_theory,
            "level_of_theory",
            parameters=pw.parameters,
            kpoints=self.inputs.pw.kpoints,
            code=pw.code,
            **pw.pseudos,
        )

    def run_labels(self) -> None:
        """Submit labels up to the maximum number of concurrent ones; repeated whenever one terminates."""
        self.fill_window(self._submit)

    def _submit(self, name: str) -> orm.ProcessNode:
        """Submit the label of configuration ``name``."""
        if "reference" in self.inputs:
            reference = self.exposed_inputs(ReferenceLabelCalculation, namespace="reference")
            structure = self.inputs.structures[name]
            return submit_once(self, ReferenceLabelCalculation, name, structure=structure, **reference)
        inputs = AttributeDict(self.exposed_inputs(PwLabelWorkChain, namespace="pw"))
        inputs.pw = AttributeDict({**inputs.pw, "structure": self.inputs.structures[name]})
        return submit_once(self, PwLabelWorkChain, name, **inputs)

    def inspect_labels(self) -> ExitCode | None:
        """Report failed labels, and fail if there are too many."""
        children = self.window_children()
        failed = {name: child for name, child in children.items() if not child.is_finished_ok}
        for name, child in failed.items():
            self.report(f"label `{name}` <{child.pk}> failed: {failure_message(child)}")
        rejected = [name for name, child in failed.items() if child.exit_status == REJECTED.status]
        of_forces = f", {len(rejected)} of them rejected for their forces" if rejected else ""
        self.report(f"{len(children) - len(failed)} of {len(children)} labels done, {len(failed)} failed{of_forces}")
        n_counted = len(failed) - len(rejected)
        if len(failed) == len(children) or n_counted > self.inputs.allowed_failed_fraction.value * len(children):
            name, first = next(iter(failed.items()))
            return self.exit_codes.ERROR_TOO_MANY_FAILED.format(
                failed=len(failed), total=len(children), name=name, pk=first.pk, reason=failure_message(first)
            )
        return None

    def results(self) -> None:
        """Set the outputs to the finished labels, even if too many have failed."""
        self.out("level_of_theory", self.ctx.level_of_theory)
        labels = {
            name: child.outputs.output_trajectory
            for name, child in self.window_children().items()
            if child.is_finished_ok
        }
        if labels:
            self.out("labels", labels)
