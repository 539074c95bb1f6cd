"""Molecular dynamics of one start structure in LAMMPS, with a classical or a trained potential."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.common.datastructures import CalcInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJob, CalcJobProcessSpec
from aiida_lammps.data.potential import LammpsPotentialData

from aiida_sicmlip.calculations.job import job_of_one_program, set_option_defaults
from aiida_sicmlip.calculations.validation import (
    LAMMPS_PLUGINS,
    sentence_of,
    validate_code_plugin,
    validate_seed,
)
from aiida_sicmlip.common import filenames
from aiida_sicmlip.data.compiled_potential import CompiledPotentialData
from aiida_sicmlip.data.trajectory import SegmentTrajectoryData
from aiida_sicmlip.science.exploration import ExplorationSettings
from aiida_sicmlip.science.io.lammps_input import exploration_input, write_structure_data

FRACTION_OF_WALLTIME = 0.9
"""LAMMPS stops by itself after this share of the walltime, so that its last frames are written."""


def potential_commands(potential: LammpsPotentialData | CompiledPotentialData, species: list[str]) -> list[str]:
    """Return the LAMMPS commands that declare ``potential`` for atom types in the order of ``species``."""
    names = " ".join(species)
    if isinstance(potential, CompiledPotentialData):
        return ["pair_style allegro", f"pair_coeff * * {filenames.COMPILED_MODEL_FILE} {names}"]
    return [f"pair_style {potential.pair_style}", f"pair_coeff * * {filenames.CLASSICAL_POTENTIAL_FILE} {names}"]


def potential_file(potential: LammpsPotentialData | CompiledPotentialData) -> tuple[str, str, str]:
    """Return what ``local_copy_list`` needs to put the file of ``potential`` into the working directory."""
    trained = isinstance(potential, CompiledPotentialData)
    target = filenames.COMPILED_MODEL_FILE if trained else filenames.CLASSICAL_POTENTIAL_FILE
    return potential.uuid, potential.filename, target


def validate_potential(potential: orm.Data, _: Any) -> str | None:
    """Say what makes ``potential`` unfit for LAMMPS."""
    if isinstance(potential, CompiledPotentialData) and potential.target != "pair_allegro":
        return (
            f"`potential` <{potential.pk}> was compiled for the target `{potential.target}`; LAMMPS needs one compiled "
            "for `pair_allegro`."
        )
    return None


def validate_species(structure: orm.StructureData, potential: Any) -> str | None:
    """Say which species of ``structure`` the potential does not know, if any."""
    unknown = sorted(structure.get_symbols_set() - set(potential.species))
    if unknown:
        return (
            f"`potential` ({potential.filename}) knows the species {', '.join(potential.species)}, but the structure "
            f"{structure.get_formula()} holds {', '.join(unknown)} too; use a potential that covers them."
        )
    return None


class ExplorationCalculation(CalcJob):
    """Run one start structure at constant temperature and keep frames of it.

    The input is ordinary LAMMPS; any LAMMPS that knows the pair style runs it, ``sicmlip-lmp`` among them.
    """

    CACHE_VERSION = 1
    """Raised when the meaning of the outputs changes, so that earlier results are not taken for new ones."""

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        spec.input("code", valid_type=orm.AbstractCode, validator=validate_code_plugin(LAMMPS_PLUGINS), help="LAMMPS.")
        spec.input("structure", valid_type=orm.StructureData, help="Where the run starts.")
        spec.input(
            "potential",
            valid_type=(LammpsPotentialData, CompiledPotentialData),
            validator=validate_potential,
            help="A classical potential file, or a trained model compiled for `pair_allegro`.",
        )
        spec.input(
            "parameters",
            valid_type=orm.Dict,
            serializer=orm.to_aiida_type,
            validator=sentence_of(ExplorationSettings.from_mapping),
            help="Temperature (K), times (ps) and the like; see `ExplorationSettings`.",
        )
        spec.input(
            "seed",
            valid_type=orm.Int,
            serializer=orm.to_aiida_type,
            validator=validate_seed,
            help="Seed of the initial velocities.",
        )
        spec.inputs.validator = cls.validate_inputs
        set_option_defaults(spec, "exploration", 86400, filenames.LAMMPS_INPUT_FILE)

        spec.output("trajectory", valid_type=SegmentTrajectoryData, required=False, help="The frames that were kept.")
        spec.output("thermodynamics", valid_type=orm.ArrayData, required=False, help="Energies (eV), T (K), p (bar).")
        spec.output(
            "results", valid_type=orm.Dict, required=False, help="Number of frames, mean temperature and so on."
        )
        spec.default_output_node = "results"

        spec.exit_code(
            301,
            "ERROR_LOG_MISSING",
            message="LAMMPS left no log: look at `verdi calcjob outputcat PK` for its messages.",
        )
        spec.exit_code(
            302, "ERROR_NO_FRAMES", message="The run ended before a single frame was kept: see the end of the log."
        )
        spec.exit_code(
            400,
            "ERROR_OUT_OF_WALLTIME",
            message="The walltime ended the run; the frames so far are kept. Ask for more time or a shorter run.",
        )
        spec.exit_code(
            410,
            "ERROR_RUNAWAY_TEMPERATURE",
            message="The temperature ran away: the potential failed here. The frames before it are kept.",
        )
        spec.exit_code(411, "ERROR_LOST_ATOMS", message="Atoms were lost: the potential failed here. Frames are kept.")
        spec.exit_code(
            412,
            "ERROR_NOT_A_NUMBER",
            message="Energies became not-a-number: the potential failed here. Frames are kept.",
        )
        spec.exit_code(
            420, "ERROR_LAMMPS_FAILED", message='LAMMPS stopped with an error: "{error}". The frames so far are kept.'
        )

    @classmethod
    def validate_inputs(cls, inputs: dict[str, Any], _: Any) -> str | None:
        """Check inputs against each other."""
        if "structure" in inputs and "potential" in inputs:
            return validate_species(inputs["structure"], inputs["potential"])
        return None

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the LAMMPS input and the structure."""
        settings = ExplorationSettings.from_mapping(self.inputs.parameters.get_dict())
        atoms = self.inputs.structure.get_ase()
        species = sorted(self.inputs.structure.get_symbols_set())
        walltime = self.inputs.metadata.options.max_wallclock_seconds
        text = exploration_input(
            species=species,
            potential_commands=potential_commands(self.inputs.potential, species),
            temperature=settings.temperature,
            timestep_ps=settings.timestep,
            damping_ps=settings.damping,
            equilibration_steps=settings.steps(settings.equilibration),
            production_steps=settings.steps(settings.production),
            dump_every=settings.steps(settings.frame_interval),
            thermo_every=settings.steps(settings.frame_interval),
            seed=self.inputs.seed.value,
            maximum_temperature=settings.maximum_temperature,
            walltime_seconds=max(1, int(FRACTION_OF_WALLTIME * walltime)),
            structure_file=filenames.STRUCTURE_FILE,
            trajectory_file=filenames.TRAJECTORY_FILE,
        )
        with folder.open(filenames.LAMMPS_INPUT_FILE, "w") as handle:
            handle.write(text)
        with folder.open(filenames.STRUCTURE_FILE, "w") as handle:
            handle.write(write_structure_data(atoms, species))

        return job_of_one_program(
            self,
            "exploration",
            ["-in", filenames.LAMMPS_INPUT_FILE, "-log", filenames.LAMMPS_LOG_FILE],
            copies=[potential_file(self.inputs.potential)],
            retrieve=[filenames.LAMMPS_LOG_FILE],
            retrieve_temporarily=[filenames.TRAJECTORY_FILE],
        )
