"""Molecular dynamics of one start structure in LAMMPS, free or biased along collective variables."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.common.datastructures import CalcInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec
from aiida_lammps.data.potential import LammpsPotentialData

from aiida_sicmlip.calculations.exploration_checks import (
    held_atoms,
    max_disagreement,
    validate_bias,
    validate_committee,
    validate_continuation,
    validate_host,
)
from aiida_sicmlip.calculations.job import ProgramCalculation
from aiida_sicmlip.calculations.lammps_potential import (
    potential_commands,
    potential_file,
    validate_members,
    validate_potential,
    validate_species,
)
from aiida_sicmlip.calculations.switches import checked_switches
from aiida_sicmlip.calculations.validation import (
    LAMMPS,
    seed_port,
    settings_port,
    validate_switches,
)
from aiida_sicmlip.common import filenames
from aiida_sicmlip.data.collective_variables import CollectiveVariablesData
from aiida_sicmlip.data.compiled_potential import CompiledPotentialData
from aiida_sicmlip.data.continuation import ContinuationData
from aiida_sicmlip.data.trajectory import SegmentTrajectoryData
from aiida_sicmlip.science.dynamics.bias_settings import BiasSettings
from aiida_sicmlip.science.dynamics.lammps_input import exploration_input, write_structure_data
from aiida_sicmlip.science.dynamics.plumed_input import plumed_input
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings

FRACTION_OF_WALLTIME = 0.9
"""LAMMPS stops by itself after this share of the walltime, so that its last frames are written."""


class ExplorationCalculation(ProgramCalculation):
    """Run one start structure at constant temperature and keep frames of it, or continue such a run.

    With collective variables the run is biased along them by OPES-Explore. The input is ordinary LAMMPS, and
    plumed.dat ordinary PLUMED: any LAMMPS that knows the pair style and `fix plumed` runs it, ``sicmlip-lmp`` among
    them.
    """

    CACHE_VERSION = 3
    """Raised when the meaning of the outputs changes, so that earlier results are not taken for new ones."""

    PROGRAM = LAMMPS
    STEM = "exploration"
    WALLTIME = 86400
    INPUT_FILE = filenames.LAMMPS_INPUT_FILE

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        cls.define_inputs(spec)
        cls.define_outputs(spec)
        cls.define_exit_codes(spec)

    @classmethod
    def define_inputs(cls, spec: CalcJobProcessSpec) -> None:
        """Define the inputs."""
        spec.input("structure", valid_type=orm.StructureData, help="Where the run starts.")
        spec.input(
            "potential",
            valid_type=(LammpsPotentialData, CompiledPotentialData),
            validator=validate_potential,
            help="A classical potential file, or a trained model compiled for `pair_allegro`.",
        )
        spec.input_namespace(
            "committee",
            dynamic=True,
            required=False,
            valid_type=CompiledPotentialData,
            validator=validate_members,
            help="The other members of a committee of compiled models that `potential` is one of. Their disagreement "
            "on the forces is measured during the run, and stops it above `max_disagreement`, where the code is "
            "`sicmlip-lmp`.",
        )
        spec.input(
            "calibration",
            valid_type=orm.Dict,
            required=False,
            help="What `calibrate_disagreement` made: its `max_disagreement` is used instead of that of `parameters`, "
            "unless that is null.",
        )
        spec.input(
            "parameters",
            **settings_port(ExplorationSettings),
        )
        spec.input("seed", **seed_port("Seed of the initial velocities."))
        spec.input(
            "collective_variables",
            valid_type=CollectiveVariablesData,
            required=False,
            help="What the run is biased along; none for free dynamics.",
        )
        spec.input(
            "bias",
            required=False,
            **settings_port(BiasSettings),
        )
        spec.input(
            "host",
            valid_type=orm.StructureData,
            required=False,
            help="The perfect crystal: needed for hops between its sites, and to restrain a shell of it.",
        )
        spec.input(
            "continuation",
            valid_type=ContinuationData,
            required=False,
            help="Where an earlier calculation of the same run ended; this one continues from there.",
        )
        spec.input(
            "switches",
            valid_type=orm.List,
            serializer=orm.to_aiida_type,
            required=False,
            validator=validate_switches,
            help="Command-line switches of this code, such as those that turn Kokkos on.",
        )

    @classmethod
    def define_outputs(cls, spec: CalcJobProcessSpec) -> None:
        """Define the outputs."""
        spec.output("trajectory", valid_type=SegmentTrajectoryData, required=False, help="The frames that were kept.")
        spec.output(
            "thermodynamics",
            valid_type=orm.ArrayData,
            required=False,
            help="At each frame: step, energies (eV), temperature (K), pressure (bar), smallest distance of two atoms "
            "(A), largest force of the potential (eV/A), largest disagreement of the committee on a force (eV/A).",
        )
        spec.output(
            "colvar",
            valid_type=orm.ArrayData,
            required=False,
            help="Collective variables, bias (eV) and what OPES says of itself, over time (ps).",
        )
        spec.output(
            "hops",
            valid_type=orm.ArrayData,
            required=False,
            help="Where `host` is given, every move of an atom from one of its sites to another, in order of time: "
            "`frame` of the trajectory, `step`, `time` (ps from the beginning of the production), `atom`, `from_site`, "
            "`to_site` (indices from 0; site -1 for an interstitial), (E,) each. `first_sites` and `last_sites` (N,) "
            "of all atoms, in the first frame and after the last.",
        )
        spec.output("continuation", valid_type=ContinuationData, required=False, help="Where the run can be continued.")
        spec.output(
            "results",
            valid_type=orm.Dict,
            required=False,
            help="Number of frames, mean temperature, hops and so on; `stopped` says what stopped the run before its "
            "end, at which value and when, and is null where nothing did.",
        )
        spec.default_output_node = "results"

    @classmethod
    def define_exit_codes(cls, spec: CalcJobProcessSpec) -> None:
        """Define the exit codes."""
        spec.exit_code(
            301,
            "ERROR_LOG_MISSING",
            message="LAMMPS left no log: {error} (all of its output: `verdi calcjob outputcat PK`)",
        )
        spec.exit_code(
            302, "ERROR_NO_FRAMES", message="The run ended before a single frame was kept: see the end of the log."
        )
        spec.exit_code(
            303,
            "ERROR_COLVAR_MISSING",
            message="The bias left no readable values of the collective variables ({error}); frames are kept.",
        )
        spec.exit_code(
            400,
            "ERROR_OUT_OF_WALLTIME",
            message="The walltime ended the run; what there is so far is kept, and `continuation`, if there is one, "
            "goes on from there.",
        )
        spec.exit_code(
            401,
            "ERROR_INTERRUPTED",
            message="The run was interrupted from outside; what came before its last saved state is kept, and "
            "`continuation`, if there is one, goes on from there.",
        )
        spec.exit_code(
            410,
            "ERROR_STOPPED_AT_ONCE",
            message="The run was stopped before any of its frames counts: {reason}.",
        )
        spec.exit_code(411, "ERROR_LOST_ATOMS", message="Atoms were lost: the potential failed here. Frames are kept.")
        spec.exit_code(
            412,
            "ERROR_NOT_A_NUMBER",
            message="Energies became not-a-number: the potential failed here. Frames are kept.",
        )
        spec.exit_code(415, "ERROR_BLOWN_UP", message="The run has blown up: {reason}. The frames before it are kept.")
        spec.exit_code(
            413,
            "ERROR_BIAS_FAILED",
            message='The bias stopped with an error: "{error}". Correct `bias` or `collective_variables`.',
        )
        spec.exit_code(
            414,
            "ERROR_SPECIES_MISMATCH",
            message='The potential and the input disagree on the species: "{error}".',
        )
        spec.exit_code(
            420, "ERROR_LAMMPS_FAILED", message='LAMMPS stopped with an error: "{error}". The frames so far are kept.'
        )

    @classmethod
    def validate_inputs(cls, inputs: dict[str, Any], _: Any) -> str | None:
        """Check inputs against each other."""
        if "structure" in inputs and "potential" in inputs:
            message = validate_species(inputs["structure"], inputs["potential"])
            if message:
                return message
        return (
            validate_committee(inputs)
            or validate_bias(inputs)
            or validate_continuation(inputs)
            or validate_host(inputs)
        )

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the LAMMPS input, the structure, and plumed.dat where the run is biased."""
        settings = ExplorationSettings.from_mapping(self.inputs.parameters.get_dict())
        atoms = self.inputs.structure.get_ase()
        species = sorted(self.inputs.structure.get_symbols_set())
        walltime = self.inputs.metadata.options.max_wallclock_seconds
        continuation = self.inputs.get("continuation", None)
        bias = BiasSettings.from_mapping(self.inputs.bias.get_dict()) if "bias" in self.inputs else None
        committee = {
            f"committee_{name}.nequip.pt2": member for name, member in sorted(self.inputs.get("committee", {}).items())
        }
        text = exploration_input(
            species=species,
            potential_commands=potential_commands(self.inputs.potential, species),
            temperature=settings.temperature,
            timestep_ps=settings.timestep,
            damping_ps=settings.damping,
            equilibration_steps=settings.steps(settings.equilibration),
            production_steps=settings.steps(settings.production),
            dump_every=settings.steps(settings.frame_interval),
            seed=self.inputs.seed.value,
            maximum_temperature=settings.maximum_temperature(len(atoms)),
            min_distances=settings.min_distances(species),
            check_every=settings.check_steps,
            committee=list(committee),
            max_disagreement=max_disagreement(self.inputs, settings),
            walltime_seconds=max(1, int(FRACTION_OF_WALLTIME * walltime)),
            held_atoms=held_atoms(self.inputs, settings),
            spring_constant=settings.spring_constant,
            plumed_file=filenames.PLUMED_INPUT_FILE if bias is not None else None,
            biased_atoms=self._biased_atoms() if bias is not None else (),
            restart_every=settings.restart_steps(0.0 if bias is None else bias.pace),
            continue_from=filenames.PREVIOUS_RESTART_FILE if continuation is not None else None,
            continue_step=continuation.step if continuation is not None else 0,
        )
        with folder.open(filenames.LAMMPS_INPUT_FILE, "w") as handle:
            handle.write(text)
        copies = [potential_file(self.inputs.potential)]
        copies += [(member.uuid, member.filename, file) for file, member in committee.items()]
        if continuation is None:
            with folder.open(filenames.STRUCTURE_FILE, "w") as handle:
                handle.write(write_structure_data(atoms, species))
        else:
            copies.append((continuation.uuid, filenames.RESTART_FILE, filenames.PREVIOUS_RESTART_FILE))
        if bias is not None:
            copies += self._write_bias(folder, settings, bias, continuation)

        retrieve = [filenames.LAMMPS_LOG_FILE]
        temporary: list[str | tuple[str, str, int]] = [(f"{filenames.RESTART_FILE}.*", ".", 0)]
        if settings.retrieve_trajectory:
            temporary.append(filenames.TRAJECTORY_FILE)
        if bias is not None:
            retrieve += [filenames.PLUMED_LOG_FILE, filenames.KERNELS_FILE]
            temporary += [filenames.COLVAR_FILE, filenames.STATE_FILE, filenames.LAST_STATE_FILE]
        switches = checked_switches(self.inputs.switches.get_list(), "switches") if "switches" in self.inputs else []
        return self.job(
            ["-in", filenames.LAMMPS_INPUT_FILE, "-log", filenames.LAMMPS_LOG_FILE, *switches],
            copies=copies,
            retrieve=retrieve,
            retrieve_temporarily=temporary,
        )

    def _biased_atoms(self) -> list[int]:
        """Return the atoms that the variables see; none where these are all."""
        atoms = sorted(atom for members in self.inputs.collective_variables.groups.values() for atom in members)
        return [] if len(atoms) == len(self.inputs.structure.sites) else atoms

    def _write_bias(
        self, folder: Folder, settings: ExplorationSettings, bias: BiasSettings, continuation: ContinuationData | None
    ) -> list[tuple[str, str, str]]:
        """Write plumed.dat; return the files of nodes that it reads."""
        variables = self.inputs.collective_variables
        text = plumed_input(
            pairs=variables.pairs,
            n_variables=variables.n_variables,
            bias=bias,
            exploration=settings,
            previous_state=filenames.PREVIOUS_STATE_FILE if continuation is not None else None,
        )
        with folder.open(filenames.PLUMED_INPUT_FILE, "w") as handle:
            handle.write(text)
        copies = [(variables.uuid, filenames.CV_MODEL_FILE, filenames.CV_MODEL_FILE)]
        if continuation is not None:
            copies.append((continuation.uuid, filenames.STATE_FILE, filenames.PREVIOUS_STATE_FILE))
        return copies
