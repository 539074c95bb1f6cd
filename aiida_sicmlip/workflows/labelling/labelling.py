"""Labels for configurations, from first principles or by a reference potential."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.common import AttributeDict
from aiida.engine import ExitCode, ProcessBuilder, ProcessSpec, while_

from aiida_sicmlip.calculations.functions.derive_level_of_theory import derive_level_of_theory
from aiida_sicmlip.calculations.functions.derive_reference_level import derive_reference_level
from aiida_sicmlip.calculations.reference_label import ReferenceLabelCalculation
from aiida_sicmlip.calculations.validation import PW, validate_code, validate_positive
from aiida_sicmlip.data.level_of_theory import LevelOfTheoryData
from aiida_sicmlip.tools.failure_messages import failure_message
from aiida_sicmlip.workflows.base.reattach import run_once, submit_once
from aiida_sicmlip.workflows.base.sliding_window import SlidingWindowWorkChain
from aiida_sicmlip.workflows.labelling.pw_label import PwLabelWorkChain
from aiida_sicmlip.workflows.labelling.pw_namelists import mistake_in_namelists
from aiida_sicmlip.workflows.protocols.files import Overrides
from aiida_sicmlip.workflows.protocols.labelling import fill_labelling
from aiida_sicmlip.workflows.protocols.loop import LoopProtocolMixin, load_codes, load_protocol

SET_ASIDE = PwLabelWorkChain.exit_codes.ERROR_FORCES_TOO_LARGE
"""How a label ends whose forces are beyond the bound, from first principles and by a reference alike."""


def validate_fraction(value: orm.Float | None, _: Any) -> str | None:
    """A fraction lies between zero and one."""
    if value is not None and not 0 <= value.value < 1:
        return f"`allowed_failed_fraction` is {value.value}; give a number from 0 up to, but not including, 1."
    return None


def validate_parameters(parameters: orm.Dict | None, _: Any) -> str | None:
    """A label is the energy and the forces of one configuration as it is."""
    if parameters is None:
        return None
    mistake = mistake_in_namelists(parameters.get_dict())
    if mistake is not None:
        return mistake
    namelists = {name.upper(): content for name, content in parameters.get_dict().items()}
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

    That is a ``PwLabelWorkChain`` or, where `reference` is given, a ``ReferenceLabelCalculation``. Both hand out a
    label under the same name and in the same form. Labels that these set aside for their forces are not handed out, and
    do not count against ``allowed_failed_fraction``: they are no trouble of the machine or the settings.
    """

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        spec.input_namespace(
            "structures",
            dynamic=True,
            valid_type=orm.StructureData,
            help="Configurations to label; each name becomes the name of its label.",
        )
        spec.expose_inputs(
            PwLabelWorkChain,
            namespace="pw",
            exclude=("pw.structure", "kpoints_distance", "kpoints_force_parity"),
            namespace_options={
                "required": False,
                "populate_defaults": False,
                "help": "How each configuration is labelled from first principles.",
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
                "help": "How each configuration is labelled by a classical potential, in the place of `pw`.",
            },
        )
        # The check between potential and structure belongs to the calculation; `validate_inputs` does it here.
        spec.inputs["reference"].validator = None
        spec.input(
            "max_concurrent",
            valid_type=orm.Int,
            serializer=orm.to_aiida_type,
            default=lambda: orm.Int(10),
            validator=validate_positive("max_concurrent"),
            help="Labels computed at the same time; lowered where the daemon has fewer slots than that needs.",
        )
        spec.input(
            "allowed_failed_fraction",
            valid_type=orm.Float,
            serializer=orm.to_aiida_type,
            default=lambda: orm.Float(0.2),
            validator=validate_fraction,
            help="The step fails when a larger share of the labels does.",
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
        spec.output("level_of_theory", valid_type=LevelOfTheoryData, help="The settings that all labels share.")
        spec.exit_code(
            401,
            "ERROR_TOO_MANY_FAILED",
            message="{failed} of {asked} labels failed, more than `allowed_failed_fraction` allows. The first, "
            "`{name}` <{pk}>: {reason}",
        )

    @classmethod
    def get_builder_from_protocol(
        cls,
        structures: Mapping[str, orm.StructureData],
        protocol: str | None = None,
        overrides: Overrides = None,
    ) -> ProcessBuilder:
        """Return a builder of a labelling alone, for the loop's protocol ``protocol`` with ``overrides`` on top.

        :param structures: configurations to label, by the names that their labels get.
        :param overrides: as of ``ActiveLearningWorkChain``; what concerns other steps is checked and not used.
        :raises InputError: with a message for whatever is wrong.
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
        """Check inputs against each other."""
        if not inputs.get("structures"):
            return None
        ways = [name for name in ("pw", "reference") if inputs.get(name)]
        if len(ways) != 1:
            return (
                f"{'both `pw` and `reference` are' if ways else 'neither `pw` nor `reference` is'} given; labels are "
                "either from first principles (`pw`) or by a potential (`reference`): give one of the two."
            )
        for name, structure in inputs["structures"].items():
            sentence = cls._validate_structure(name, structure, inputs)
            if sentence:
                return sentence
        return None

    @classmethod
    def _validate_structure(cls, name: str, structure: orm.StructureData, inputs: dict[str, Any]) -> str | None:
        """Say why a structure cannot be labelled, if so."""
        if inputs.get("reference"):
            sentence = ReferenceLabelCalculation.validate_inputs({**inputs["reference"], "structure": structure}, None)
            return (
                f"for structure `{name}`: {sentence.replace('`potential`', '`reference.potential`')}"
                if sentence
                else None
            )
        pseudos = set(inputs["pw"].get("pw", {}).get("pseudos", {}))
        missing = sorted(set(structure.get_kind_names()) - pseudos) if pseudos else []
        if missing:
            return (
                f"`pw.pw.pseudos` has no pseudopotential for {', '.join(missing)}, which structure `{name}` holds; it "
                f"has {', '.join(sorted(pseudos))}."
            )
        return None

    def setup(self) -> None:
        """Fix the order, and how many labels run at a time."""
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
        """Keep ``max_concurrent`` labels at work; called again whenever one of them terminates."""
        self.fill_window(self._submit)

    def _submit(self, name: str) -> orm.ProcessNode:
        """Submit the label of configuration ``name``."""
        if "reference" in self.inputs:
            given = self.exposed_inputs(ReferenceLabelCalculation, namespace="reference")
            return submit_once(self, ReferenceLabelCalculation, name, structure=self.inputs.structures[name], **given)
        inputs = AttributeDict(self.exposed_inputs(PwLabelWorkChain, namespace="pw"))
        inputs.pw = AttributeDict({**inputs.pw, "structure": self.inputs.structures[name]})
        return submit_once(self, PwLabelWorkChain, name, **inputs)

    def inspect_labels(self) -> ExitCode | None:
        """Say which labels failed, and fail if they are too many."""
        children = self.window_children()
        failed = {name: child for name, child in children.items() if not child.is_finished_ok}
        for name, child in failed.items():
            self.report(f"label `{name}` <{child.pk}> failed: {failure_message(child)}")
        set_aside = [name for name, child in failed.items() if child.exit_status == SET_ASIDE.status]
        words = f", {len(set_aside)} of them set aside for their forces" if set_aside else ""
        self.report(f"{len(children) - len(failed)} of {len(children)} labels done, {len(failed)} failed{words}")
        n_broken = len(failed) - len(set_aside)
        if len(failed) == len(children) or n_broken > self.inputs.allowed_failed_fraction.value * len(children):
            name, first = next(iter(failed.items()))
            return self.exit_codes.ERROR_TOO_MANY_FAILED.format(
                failed=len(failed), asked=len(children), name=name, pk=first.pk, reason=failure_message(first)
            )
        return None

    def results(self) -> None:
        """Hand out the labels that are done, whether or not they are enough."""
        self.out("level_of_theory", self.ctx.level_of_theory)
        labels = {
            name: child.outputs.output_trajectory
            for name, child in self.window_children().items()
            if child.is_finished_ok
        }
        if labels:
            self.out("labels", labels)
