"""Exploration of configurations by molecular dynamics."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ProcessSpec, ToContext, WorkChain
from aiida_lammps.data.potential import LammpsPotentialData

from aiida_sicmlip.calculations.exploration import ExplorationCalculation, validate_potential, validate_species
from aiida_sicmlip.calculations.functions.derive_seeds import derive_walker_seeds
from aiida_sicmlip.calculations.validation import validate_positive, validate_seed
from aiida_sicmlip.common.labels import segment_label
from aiida_sicmlip.data.compiled_potential import CompiledPotentialData
from aiida_sicmlip.data.trajectory import SegmentTrajectoryData
from aiida_sicmlip.science.crystals import overlapping_pairs
from aiida_sicmlip.workflows.reattach import run_once, submit_once

LEAST_FRACTION_OF_BOND = 0.6
"""Atoms of a start structure closer than this fraction of the sum of their covalent radii overlap."""


def validate_structures(structures: dict[str, orm.StructureData], _: Any) -> str | None:
    """Say which start structure has overlapping atoms, if any."""
    for name, structure in structures.items():
        pairs = overlapping_pairs(structure.get_ase(), LEAST_FRACTION_OF_BOND)
        if pairs:
            first, second, distance = pairs[0]
            return (
                f"in `structures.{name}` atoms {first} and {second} are {distance:.2f} A apart and overlap; correct "
                "the start structure."
            )
    return None


class ExplorationWorkChain(WorkChain):
    """Run independent walkers from each start structure and hand out their trajectories.

    A walker whose potential fails keeps the frames before that: they are what active learning needs.
    """

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        spec.input_namespace(
            "structures",
            dynamic=True,
            valid_type=orm.StructureData,
            validator=validate_structures,
            help="Where walkers start.",
        )
        spec.input(
            "potential",
            valid_type=(LammpsPotentialData, CompiledPotentialData),
            validator=validate_potential,
            help="What drives the walkers: a classical potential, or a trained model compiled for LAMMPS.",
        )
        spec.input(
            "walkers",
            valid_type=orm.Int,
            serializer=orm.to_aiida_type,
            default=lambda: orm.Int(1),
            validator=validate_positive("walkers"),
            help="Independent walkers from each start structure.",
        )
        spec.input(
            "seed",
            valid_type=orm.Int,
            serializer=orm.to_aiida_type,
            validator=validate_seed,
            help="Seed from which those of the walkers are derived.",
        )
        spec.expose_inputs(
            ExplorationCalculation,
            namespace="exploration",
            exclude=("structure", "potential", "seed"),
            namespace_options={"help": "How each walker runs."},
        )
        spec.inputs.validator = cls.validate_inputs
        spec.outline(
            cls.run_walkers,
            cls.inspect_walkers,
        )
        spec.output_namespace(
            "trajectories",
            dynamic=True,
            valid_type=SegmentTrajectoryData,
            help="What the walkers saw, under `s00`, `s01` and so on; walkers without frames are left out.",
        )
        spec.exit_code(401, "ERROR_NO_FRAMES", message="No walker kept a single frame: look at the walkers' reports.")

    @classmethod
    def validate_inputs(cls, inputs: dict[str, Any], _: Any) -> str | None:
        """Check that the potential covers the structures."""
        if not inputs.get("structures"):
            return "`structures` is empty; give at least one start structure."
        if "potential" in inputs:
            for structure in inputs["structures"].values():
                sentence = validate_species(structure, inputs["potential"])
                if sentence:
                    return sentence
        return None

    def run_walkers(self) -> ToContext:
        """Submit all walkers."""
        starts = [self.inputs.structures[name] for name in sorted(self.inputs.structures)]
        starts = [structure for structure in starts for _ in range(self.inputs.walkers.value)]
        seeds = run_once(
            self,
            derive_walker_seeds,
            "seeds",
            seed=self.inputs.seed,
            walkers=self.inputs.walkers,
            **self.inputs.structures,
        )
        walkers = {}
        for index, structure in enumerate(starts):
            name = f"walker_{index:02d}"
            walkers[name] = submit_once(
                self,
                ExplorationCalculation,
                name,
                structure=structure,
                potential=self.inputs.potential,
                seed=seeds[name],
                **self.exposed_inputs(ExplorationCalculation, namespace="exploration"),
            )
        self.ctx.names = sorted(walkers)
        return ToContext(**walkers)

    def inspect_walkers(self) -> ExitCode | None:
        """Collect the trajectories, and say which walkers failed."""
        trajectories: dict[str, SegmentTrajectoryData] = {}
        for name in self.ctx.names:
            walker = self.ctx[name]
            frames = 0
            if "trajectory" in walker.outputs:
                trajectory = walker.outputs.trajectory
                frames = trajectory.n_frames
                trajectories[segment_label(len(trajectories))] = trajectory
            if not walker.is_finished_ok:
                reason = walker.exit_message or walker.process_state.value
                self.report(f"{name} <{walker.pk}> ended early with {frames} frames: {reason}")
        if not trajectories:
            return self.exit_codes.ERROR_NO_FRAMES
        total = sum(trajectory.n_frames for trajectory in trajectories.values())
        self.report(f"{total} frames from {len(trajectories)} of {len(self.ctx.names)} walkers")
        self.out("trajectories", trajectories)
        return None
