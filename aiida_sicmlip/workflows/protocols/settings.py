"""Settings of the protocols: every key of a settings file with its meaning and the accepted values.

Settings without a default in their class are given in the YAML files of the protocols.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiida_sicmlip.calculations.compilation import CompilationSettings
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.costs.budgets import Budget
from aiida_sicmlip.science.dynamics.bias_settings import BiasSettings
from aiida_sicmlip.science.dynamics.blow_up import MonitorSettings
from aiida_sicmlip.science.dynamics.lammps_input import MAXIMUM_SEED
from aiida_sicmlip.science.dynamics.ramp import RampSettings
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings
from aiida_sicmlip.science.evaluation.calibration import CalibrationSettings
from aiida_sicmlip.science.evaluation.convergence import ConvergenceCriteria
from aiida_sicmlip.science.evaluation.final_run import FinalRunSettings
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
from aiida_sicmlip.science.value_tests import is_integer, is_mapping, is_symbol
from aiida_sicmlip.workflows.protocols.setting_fields import (
    code_name,
    is_name,
    job_options,
    node_name,
    temperatures_field,
)


@dataclass(frozen=True, kw_only=True)
class CodeNames(Settings):
    """Codes of the steps; a step that is null is run by `sicmlip`."""

    PREFIX = "codes."

    lammps: int | str | Mapping[str, Any] = setting(
        REQUIRED,
        "`sicmlip-lmp`, or another LAMMPS with `pair_style allegro`; a mapping adds command-line `switches`",
        "the label, PK or UUID of a code, or `code` and `switches`",
        lambda value: is_name(value) or is_mapping(value),
    )
    pw: int | str = code_name(REQUIRED, "`pw.x`")
    sicmlip: int | str = code_name(REQUIRED, "`sicmlip`, for all steps without a code of their own")
    training: int | str | None = code_name(None, "training of potentials")
    compilation: int | str | None = code_name(None, "compilation of potentials")
    evaluation: int | str | None = code_name(None, "evaluation of potentials on data sets")
    collective_variables: int | str | None = code_name(None, "training of collective variables")
    descriptors: int | str | None = code_name(None, "descriptors of frames and candidates for labels")
    reference_label: int | str | None = code_name(None, "labels by a reference potential")


@dataclass(frozen=True, kw_only=True)
class LammpsPotentialSettings(Settings):
    """A LAMMPS potential, given by its file or as a stored node."""

    pair_style: str | None = text(None, "pair style of LAMMPS")
    file: str | None = text(None, "path of the potential file, or the name of a file distributed with LAMMPS")
    species: tuple[str, ...] | None = sequence(
        None,
        "elements that the potential is used for",
        "a list of chemical symbols",
        is_symbol,
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
    """Labelled data sets that a run starts with."""

    PREFIX = "initial."

    training_set: int | str | None = node_name("initial training set")
    validation_set: int | str | None = node_name(
        "initial validation set, which is replaced or extended as `selection.parameters.validation_update` says"
    )
    fixed_validation_set: int | str | None = node_name("fixed validation set, on which all potentials are evaluated")


@dataclass(frozen=True, kw_only=True)
class UnbiasedRuns(Settings):
    """Runs without bias, on which the variables of the first round are trained."""

    PREFIX = "exploration.unbiased."

    walkers: int = integer(REQUIRED, "independent runs from each start structure", at_least=1)
    parameters: Mapping[str, Any] = group(
        ExplorationSettings, "settings that override those of the exploration", partial=True
    )


@dataclass(frozen=True, kw_only=True)
class VariablesStep(Settings):
    """Training of collective variables."""

    PREFIX = "exploration.collective_variables."

    parameters: CollectiveVariableSettings = group(CollectiveVariableSettings, "the variables and their training")
    options: Mapping[str, Any] = job_options()


@dataclass(frozen=True, kw_only=True)
class ExplorationStep(Settings):
    """Exploration."""

    PREFIX = "exploration."

    walkers: int = integer(REQUIRED, "independent runs from each start structure", at_least=1)
    max_concurrent: int = integer(
        REQUIRED,
        "maximum number of runs at the same time; lowered if the daemon does not have enough slots",
        at_least=1,
    )
    max_segments: int = integer(
        REQUIRED, "maximum number of calculations of a run; each continues the one before", at_least=1
    )
    clean_workdir: bool = flag(REQUIRED, "delete the remote working folders of a run after it has finished")
    start_from_states: float = number(
        0.0,
        "share of the runs, rounded down, that start from other states of the defect, found by runs of the previous "
        "round; the other runs start from the start structure",
        at_least=0,
        at_most=1,
    )
    softer_repeats: int = integer(
        2,
        "number of times that the runs of a round are repeated with 60 % of the temperature and the barrier before, if "
        "the brake stops all of them before any of their frames counts",
        at_least=0,
    )
    temperatures: tuple[float, ...] | None = temperatures_field()
    parameters: ExplorationSettings = group(ExplorationSettings, "settings of a run")
    bias: BiasSettings | None = group(
        BiasSettings, "the bias along collective variables; null: no bias", default=REQUIRED, nullable=True
    )
    ramp: RampSettings | None = group(RampSettings, "rise over the first rounds", default=REQUIRED, nullable=True)
    unbiased: UnbiasedRuns = group(UnbiasedRuns, "unbiased runs", default=REQUIRED)
    collective_variables: VariablesStep = group(VariablesStep, "the collective variables of the bias", default=REQUIRED)
    monitor: MonitorSettings | None = group(
        MonitorSettings,
        "stops jobs whose dynamics has become unstable; null: no monitor",
        default=REQUIRED,
        nullable=True,
    )
    calibration: CalibrationSettings | None = group(
        CalibrationSettings, "when a committee stops walkers; null: `max_disagreement`", default=REQUIRED, nullable=True
    )
    filter: FrameFilterSettings | None = group(FrameFilterSettings, "frames left out; null for none", nullable=True)
    options: Mapping[str, Any] = job_options()


@dataclass(frozen=True, kw_only=True)
class OwnExplorationSettings(ExplorationSettings):
    """Exploration settings of a single start structure."""

    temperatures: tuple[float, ...] | None = temperatures_field()


@dataclass(frozen=True, kw_only=True)
class StructureSettings(Settings):
    """A start structure: a stored node, or defects in a host crystal."""

    PREFIX = "structures."

    node: int | str | None = node_name("stored structure")
    host: int | str | Mapping[str, Any] | None = setting(
        None,
        "the perfect crystal: its description or, together with `node`, a stored structure",
        "a mapping, or a PK or UUID",
        lambda value: is_name(value) or is_mapping(value),
    )
    defects: tuple[Any, ...] | None = sequence(
        None, "descriptions of defects", "a list", lambda entry: entry is not None, empty=True
    )
    seed: int = integer(1, "seed of the random placement of defects", at_least=0, limit=None)
    exploration: Mapping[str, Any] | None = group(
        OwnExplorationSettings, "settings of the runs from this structure", nullable=True, partial=True
    )


@dataclass(frozen=True, kw_only=True)
class DescriptorsStep(Settings):
    """Descriptors of frames."""

    PREFIX = "descriptors."

    options: Mapping[str, Any] = job_options()


@dataclass(frozen=True, kw_only=True)
class SelectionStep(Settings):
    """Selection of frames to label."""

    PREFIX = "selection."

    parameters: SelectionSettings = group(SelectionSettings, "settings of the selection")


@dataclass(frozen=True, kw_only=True)
class LabellingStep(Settings):
    """Labelling."""

    PREFIX = "labelling."

    reference: ReferenceSettings | None = group(
        ReferenceSettings, "a LAMMPS potential that labels instead of `pw.x`; null: `pw.x`", nullable=True
    )
    pseudo_family: str = text(REQUIRED, "label of a pseudopotential family")
    kpoints: tuple[int, ...] = sequence(
        REQUIRED,
        "mesh of k-points, without offset",
        "three whole numbers from 1",
        lambda value: is_integer(value) and value >= 1,
        length=3,
    )
    gamma_only: bool = flag(REQUIRED, "use the gamma-point algorithms of `pw.x`; only with the mesh [1, 1, 1]")
    max_concurrent: int = integer(
        REQUIRED,
        "maximum number of labels computed at the same time; lowered if the daemon does not have enough slots",
        at_least=1,
    )
    allowed_failed_fraction: float = number(
        REQUIRED, "maximum fraction of failed labels in a round; above it the run stops", at_least=0, at_most=1
    )
    max_replacements: int = integer(
        REQUIRED, "maximum number of failed labels of a round that are replaced by further candidates", at_least=0
    )
    max_force: float | None = number(
        None,
        "maximum force on an atom; labels above it are rejected and replaced; null: no limit",
        unit="eV/A",
        above=0,
    )
    clean_workdir: bool = flag(REQUIRED, "delete the remote working folders of a label after it has finished")
    max_iterations: int = integer(
        REQUIRED, "maximum number of `pw.x` calculations of a label (`PwLabelWorkChain`)", at_least=1
    )
    parameters: Mapping[str, Any] = mapping(REQUIRED, "namelists of the input of `pw.x`")
    options: Mapping[str, Any] = job_options()


@dataclass(frozen=True, kw_only=True)
class TrainingStep(Settings):
    """Training of a potential."""

    PREFIX = "training."

    parameters: Mapping[str, Any] = group(TrainingParameters, "settings of the training", partial=True)
    prior: Mapping[str, Any] = group(
        PriorParameters, "fit of the prior, if `model.pair_potential` is lennard-jones", partial=True
    )
    committee_size: int = integer(
        REQUIRED,
        "number of potentials that are trained with different seeds; the first is the one that is used",
        at_least=1,
        limit=100,
    )
    max_iterations: int = integer(
        REQUIRED,
        "maximum number of calculations of a training; each continues the one before",
        at_least=1,
    )
    max_prolongations: int = integer(
        REQUIRED,
        "times that an underfitted training is prolonged, each by as many steps, from the model so far and with half "
        "the learning rate; needs an asked error",
        at_least=0,
    )
    asked_force_mae: float | None = number(
        None,
        "force MAE that the training set is asked to meet; null: in a run `convergence.force_mae`, else none",
        unit="eV/A",
        nullable=True,
        above=0,
    )
    initial_potential: int | str | None = node_name(
        "packaged model that each training starts from; null: random weights"
    )
    options: Mapping[str, Any] = job_options()


@dataclass(frozen=True, kw_only=True)
class CompilationStep(Settings):
    """Compilation of a potential."""

    PREFIX = "compilation."

    parameters: CompilationSettings = group(CompilationSettings, "device and target of the compilation")
    options: Mapping[str, Any] = job_options()


@dataclass(frozen=True, kw_only=True)
class MachineSettings(Settings):
    """An additional machine that potentials are compiled for."""

    PREFIX = "further_compilations."

    code: int | str = code_name(REQUIRED, "`sicmlip` on that machine")
    parameters: CompilationSettings = group(CompilationSettings, "device and target of the compilation")
    options: Mapping[str, Any] = job_options({})


@dataclass(frozen=True, kw_only=True)
class EvaluationStep(Settings):
    """Evaluation of a potential."""

    PREFIX = "evaluation."

    options: Mapping[str, Any] = job_options()


@dataclass(frozen=True, kw_only=True)
class TrainingProtocolSettings(Settings):
    """Content of a settings file of trainings."""

    training: TrainingStep = group(TrainingStep, "the training", default=REQUIRED)
    compilation: CompilationStep = group(CompilationStep, "the compilation", default=REQUIRED)
    further_compilations: Mapping[str, Any] = named_groups(
        MachineSettings, "additional machines that potentials are compiled for", default={}
    )
    evaluation: EvaluationStep = group(EvaluationStep, "the evaluation", default=REQUIRED)


@dataclass(frozen=True, kw_only=True)
class LoopTrainingStep(TrainingStep):
    """Training in a run of the loop."""

    protocol: str = text(REQUIRED, "protocol of `training.yaml`, which the settings given here override")
    start_from: str = choice(
        REQUIRED, ("scratch", "previous_round"), "initial weights of the trainings of later rounds"
    )


@dataclass(frozen=True, kw_only=True)
class LoopSettings(TrainingProtocolSettings):
    """Content of a settings file of a run."""

    training: LoopTrainingStep = group(LoopTrainingStep, "the training", default=REQUIRED)
    codes: CodeNames = group(CodeNames, "codes", default=REQUIRED)
    structures: Mapping[str, Any] = named_groups(StructureSettings, "start structures")
    bootstrap: BootstrapSettings = group(BootstrapSettings, "potential that explores round 0", default=REQUIRED)
    initial: InitialSets = group(InitialSets, "labelled data sets that the run starts with")
    seed: int = integer(
        REQUIRED, "seed from which the seeds of all random steps are derived", at_least=1, at_most=MAXIMUM_SEED
    )
    max_rounds: int = integer(REQUIRED, "maximum number of rounds", at_least=1, limit=10_000)
    convergence: ConvergenceCriteria = group(ConvergenceCriteria, "criteria that stop the loop")
    final_run: FinalRunSettings | None = group(FinalRunSettings, "unbiased runs before the loop stops", nullable=True)
    budget: Budget = group(Budget, "limits of the cost of the run")
    exploration: ExplorationStep = group(ExplorationStep, "the exploration", default=REQUIRED)
    descriptors: DescriptorsStep = group(DescriptorsStep, "descriptors of frames", default=REQUIRED)
    selection: SelectionStep = group(SelectionStep, "selection of frames to label")
    labelling: LabellingStep = group(LabellingStep, "the labelling", default=REQUIRED)
