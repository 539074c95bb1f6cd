"""What a settings file may say: every key of the protocols, with its meaning and what it takes.

Where a class has a default, a protocol need not name the setting; all others stand in the protocols' files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiida_sicmlip.calculations.compilation import CompilationSettings
from aiida_sicmlip.calculations.validation import MAXIMUM_SEED
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.costs.budgets import Budget
from aiida_sicmlip.science.dynamics.bias_settings import BiasSettings
from aiida_sicmlip.science.dynamics.blow_up import MonitorSettings
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings
from aiida_sicmlip.science.evaluation.convergence import ConvergenceCriteria
from aiida_sicmlip.science.pines.settings import CollectiveVariableSettings
from aiida_sicmlip.science.selection.frame_filter import FrameFilterSettings
from aiida_sicmlip.science.selection.settings import SelectionSettings
from aiida_sicmlip.science.settings import (
    REQUIRED,
    Settings,
    choice,
    flag,
    group,
    integer,
    mapping,
    named_groups,
    number,
    sequence,
    setting,
    text,
)
from aiida_sicmlip.science.training.lennard_jones_fit import PriorParameters
from aiida_sicmlip.science.training.settings import TrainingParameters
from aiida_sicmlip.science.value_tests import is_integer, is_mapping, is_number
from aiida_sicmlip.workflows.protocols.setting_fields import code_name, is_name, job_options, node_name


def _is_temperature(value: Any) -> bool:
    return is_number(value) and value > 0


def _temperatures() -> Any:
    """Return a field that holds several temperatures."""
    return sequence(
        None,
        "`walkers` from each start structure at each of them, instead of `parameters.temperature`",
        "a list of different numbers above zero, such as [1000.0, 1500.0]",
        _is_temperature,
        unit="K",
        different=True,
    )


@dataclass(frozen=True, kw_only=True)
class CodeNames(Settings):
    """Which codes run what; a step that is null is run by `sicmlip`."""

    PREFIX = "codes."

    lammps: int | str | Mapping[str, Any] = setting(
        REQUIRED,
        "`sicmlip-lmp`, or another LAMMPS with `pair_style allegro`; or a mapping of `code` and `switches`",
        "the label, PK or UUID of a code, or `code` and `switches`",
        lambda value: is_name(value) or is_mapping(value),
    )
    pw: int | str = code_name(REQUIRED, "`pw.x`")
    sicmlip: int | str = code_name(REQUIRED, "`sicmlip`, for all that no other code is named for")
    training: int | str | None = code_name(None, "trains potentials")
    compilation: int | str | None = code_name(None, "compiles potentials")
    evaluation: int | str | None = code_name(None, "evaluates potentials on data sets")
    collective_variables: int | str | None = code_name(None, "trains collective variables")
    descriptors: int | str | None = code_name(None, "describes frames and finds candidates for labels")
    reference_label: int | str | None = code_name(None, "labels with a reference potential")


@dataclass(frozen=True, kw_only=True)
class LammpsPotentialSettings(Settings):
    """A LAMMPS potential: by its file, or a stored node."""

    pair_style: str | None = text(None, "pair style of LAMMPS")
    file: str | None = text(None, "path of the potential file, or the name of one that comes with LAMMPS")
    species: tuple[str, ...] | None = sequence(
        None,
        "elements for which the file may be used",
        "a list of chemical symbols",
        lambda symbol: isinstance(symbol, str),
    )
    node: int | str | None = node_name("stored potential, which takes precedence over the other keys")

    def __post_init__(self) -> None:
        super().__post_init__()
        missing = [name for name in ("pair_style", "file", "species") if getattr(self, name) is None]
        if missing and self.node is None:
            raise InputError(
                f"`{self.PREFIX}{missing[0]}` is missing; give `pair_style`, `file` and `species` of a LAMMPS "
                "potential, or `node`, the PK or UUID of a stored one."
            )


@dataclass(frozen=True, kw_only=True)
class BootstrapSettings(LammpsPotentialSettings):
    """The potential that explores round 0."""

    PREFIX = "bootstrap."


@dataclass(frozen=True, kw_only=True)
class ReferenceSettings(LammpsPotentialSettings):
    """A LAMMPS potential that labels instead of pw.x."""

    PREFIX = "labelling.reference."


@dataclass(frozen=True, kw_only=True)
class InitialSets(Settings):
    """Labelled data sets that a run begins with."""

    PREFIX = "initial."

    training_set: int | str | None = node_name("labelled data set that the run begins with")
    validation_set: int | str | None = node_name(
        "labelled data set for validation, until `selection.parameters.validation_update` replaces it"
    )
    fixed_validation_set: int | str | None = node_name(
        "fixed validation set, which the potentials of all rounds are evaluated on"
    )


@dataclass(frozen=True, kw_only=True)
class UnbiasedRuns(Settings):
    """Runs without bias, from which the variables of the first round are learned."""

    PREFIX = "exploration.unbiased."

    walkers: int = integer(REQUIRED, "independent runs from each start structure", at_least=1)
    parameters: Mapping[str, Any] = group(
        ExplorationSettings, "as those of the exploration, but for what is given here", partial=True
    )


@dataclass(frozen=True, kw_only=True)
class VariablesStep(Settings):
    """Training of collective variables."""

    PREFIX = "exploration.collective_variables."

    parameters: CollectiveVariableSettings = group(CollectiveVariableSettings, "what is learned")
    options: Mapping[str, Any] = job_options()


@dataclass(frozen=True, kw_only=True)
class ExplorationStep(Settings):
    """Exploration."""

    PREFIX = "exploration."

    walkers: int = integer(REQUIRED, "independent runs from each start structure", at_least=1)
    max_concurrent: int = integer(
        REQUIRED,
        "runs at the same time; lowered where the daemon's slots do not hold so many",
        at_least=1,
    )
    max_segments: int = integer(
        REQUIRED, "calculations that one run may take; each goes on where the one before was stopped", at_least=1
    )
    clean_workdir: bool = flag(REQUIRED, "delete the working folders of a run on its computer when the run is done")
    temperatures: tuple[float, ...] | None = _temperatures()
    parameters: ExplorationSettings = group(ExplorationSettings, "a run")
    bias: BiasSettings | None = group(BiasSettings, "null explores without bias", default=REQUIRED, nullable=True)
    unbiased: UnbiasedRuns = group(UnbiasedRuns, "unbiased runs", default=REQUIRED)
    collective_variables: VariablesStep = group(VariablesStep, "the variables of the bias", default=REQUIRED)
    monitor: MonitorSettings | None = group(
        MonitorSettings, "ends running jobs that have blown up; null for none", default=REQUIRED, nullable=True
    )
    filter: FrameFilterSettings | None = group(
        FrameFilterSettings, "which frames are left out; null for none", nullable=True
    )
    options: Mapping[str, Any] = job_options()


@dataclass(frozen=True, kw_only=True)
class OwnExplorationSettings(ExplorationSettings):
    """What a start structure says of its own runs."""

    temperatures: tuple[float, ...] | None = _temperatures()


@dataclass(frozen=True, kw_only=True)
class StructureSettings(Settings):
    """A start structure: a stored node, or a host crystal with defects."""

    PREFIX = "structures."

    node: int | str | None = node_name("stored structure")
    host: int | str | Mapping[str, Any] | None = setting(
        None,
        "the perfect crystal: its description, or, beside `node`, a stored one",
        "a mapping, or a PK or UUID",
        lambda value: is_name(value) or is_mapping(value),
    )
    defects: tuple[Any, ...] | None = sequence(
        None, "descriptions of defects", "a list", lambda entry: entry is not None, empty=True
    )
    seed: int = integer(1, "seed of the random placement of defects", at_least=0)
    exploration: Mapping[str, Any] | None = group(
        OwnExplorationSettings, "settings of its own runs", nullable=True, partial=True
    )


@dataclass(frozen=True, kw_only=True)
class DescriptorsStep(Settings):
    """Description of frames."""

    PREFIX = "descriptors."

    options: Mapping[str, Any] = job_options()


@dataclass(frozen=True, kw_only=True)
class SelectionStep(Settings):
    """Selection of frames to label."""

    PREFIX = "selection."

    parameters: SelectionSettings = group(SelectionSettings, "how frames are selected")


@dataclass(frozen=True, kw_only=True)
class LabellingStep(Settings):
    """Labelling."""

    PREFIX = "labelling."

    reference: ReferenceSettings | None = group(
        ReferenceSettings, "a LAMMPS potential that labels instead of `pw.x`; null for none", nullable=True
    )
    pseudo_family: str = text(REQUIRED, "label of a family of pseudopotentials")
    kpoints: tuple[int, ...] = sequence(
        REQUIRED,
        "mesh of k-points, not shifted",
        "three whole numbers from 1",
        lambda value: is_integer(value) and value >= 1,
        length=3,
    )
    gamma_only: bool = flag(REQUIRED, "use the gamma-point tricks of `pw.x`; with a mesh of one point only")
    max_concurrent: int = integer(
        REQUIRED,
        "labels computed at the same time; lowered where the daemon's slots do not hold so many",
        at_least=1,
    )
    allowed_failed_fraction: float = number(
        REQUIRED, "the run ends when a larger share of a round's labels fails", at_least=0, at_most=1
    )
    max_replacements: int = integer(
        REQUIRED, "so many failed labels of a round are replaced by further candidates", at_least=0
    )
    max_force: float | None = number(
        None,
        "labels with a larger force on an atom are rejected and replaced; null for none",
        unit="eV/A",
        above=0,
    )
    clean_workdir: bool = flag(REQUIRED, "delete the working folder of a label on its computer when the label is done")
    max_iterations: int = integer(REQUIRED, "attempts of `PwLabelWorkChain` for each label", at_least=1)
    parameters: Mapping[str, Any] = mapping(REQUIRED, "namelists of `pw.x`, which go into its input as they are")
    options: Mapping[str, Any] = job_options()


@dataclass(frozen=True, kw_only=True)
class TrainingStep(Settings):
    """Training of a potential."""

    PREFIX = "training."

    parameters: Mapping[str, Any] = group(TrainingParameters, "the training", partial=True)
    prior: Mapping[str, Any] = group(
        PriorParameters, "fit of a prior, where `model.pair_potential` is lennard-jones", partial=True
    )
    committee_size: int = integer(
        REQUIRED,
        "potentials that are trained, with seeds of their own; the first is the one that is used",
        at_least=1,
    )
    max_iterations: int = integer(
        REQUIRED,
        "calculations that one training may take; each goes on where the one before was stopped",
        at_least=1,
    )
    initial_potential: int | str | None = node_name(
        "packaged model that each training starts from; null for random weights"
    )
    options: Mapping[str, Any] = job_options()


@dataclass(frozen=True, kw_only=True)
class CompilationStep(Settings):
    """Compilation of a potential."""

    PREFIX = "compilation."

    parameters: CompilationSettings = group(CompilationSettings, "what the model is compiled for")
    options: Mapping[str, Any] = job_options()


@dataclass(frozen=True, kw_only=True)
class MachineSettings(Settings):
    """A further machine that potentials are compiled for."""

    PREFIX = "further_compilations."

    code: int | str = code_name(REQUIRED, "`sicmlip` on that machine")
    parameters: CompilationSettings = group(CompilationSettings, "what the model is compiled for")
    options: Mapping[str, Any] = job_options({})


@dataclass(frozen=True, kw_only=True)
class EvaluationStep(Settings):
    """Evaluation of a potential."""

    PREFIX = "evaluation."

    options: Mapping[str, Any] = job_options()


@dataclass(frozen=True, kw_only=True)
class TrainingProtocolSettings(Settings):
    """What a settings file of trainings may say."""

    training: TrainingStep = group(TrainingStep, "the training", default=REQUIRED)
    compilation: CompilationStep = group(CompilationStep, "the compilation", default=REQUIRED)
    further_compilations: Mapping[str, Any] = named_groups(
        MachineSettings, "further machines that potentials are compiled for", default={}
    )
    evaluation: EvaluationStep = group(EvaluationStep, "the evaluation", default=REQUIRED)


@dataclass(frozen=True, kw_only=True)
class LoopTrainingStep(TrainingStep):
    """Training in a run of the loop."""

    protocol: str = text(
        REQUIRED, "protocol of the training, whose settings lie below those given here (`training.yaml`)"
    )
    start_from: str = choice(REQUIRED, ("scratch", "previous_round"), "where the trainings of later rounds start")


@dataclass(frozen=True, kw_only=True)
class LoopSettings(TrainingProtocolSettings):
    """What a settings file of a run may say."""

    training: LoopTrainingStep = group(LoopTrainingStep, "the training", default=REQUIRED)
    codes: CodeNames = group(CodeNames, "codes", default=REQUIRED)
    structures: Mapping[str, Any] = named_groups(StructureSettings, "start structures")
    bootstrap: BootstrapSettings = group(BootstrapSettings, "explores round 0", default=REQUIRED)
    initial: InitialSets = group(InitialSets, "data sets that the run begins with")
    seed: int = integer(
        REQUIRED, "seed from which the seeds of all random steps follow", at_least=1, at_most=MAXIMUM_SEED
    )
    max_rounds: int = integer(REQUIRED, "the loop ends after so many rounds, converged or not", at_least=1)
    convergence: ConvergenceCriteria = group(ConvergenceCriteria, "what has to hold before the loop stops")
    budget: Budget = group(Budget, "what the run may cost; without a number there is no limit")
    exploration: ExplorationStep = group(ExplorationStep, "the exploration", default=REQUIRED)
    descriptors: DescriptorsStep = group(DescriptorsStep, "description of frames", default=REQUIRED)
    selection: SelectionStep = group(SelectionStep, "selection of frames to label")
    labelling: LabellingStep = group(LabellingStep, "the labelling", default=REQUIRED)
