"""Labels as `pw.x` leaves them in the graph, and what is trained on them needs: their level of theory and a code."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ase import Atoms

PW_PARAMETERS = {
    "CONTROL": {"calculation": "scf", "tprnfor": True},
    "SYSTEM": {"ecutwfc": 30.0, "ecutrho": 240.0, "nspin": 2, "tot_magnetization": 2.0},
    "ELECTRONS": {"conv_thr": 1.0e-6},
}


@pytest.fixture
def generate_label(generate_code: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a finished PwCalculation, as `pw.x` leaves it, and returns its `output_trajectory`.

    Takes a configuration with energy and forces; settings of SYSTEM or ELECTRONS to change; arrays to leave out; the
    node of the structure, a new one if not given.
    """
    from aiida import orm
    from aiida.common.links import LinkType
    from aiida_pseudo.data.pseudo.upf import UpfData

    from aiida_sicmlip.common.process_types import PW

    code = generate_code("quantumespresso.pw")

    def pseudo(element: str) -> UpfData:
        text = f'<UPF version="2.0.1">\n<PP_HEADER element="{element}" z_valence="4.0" functional="PBE"/>\n</UPF>\n'
        return UpfData(io.BytesIO(text.encode()), f"{element}.upf")

    def make(
        frame: Atoms, leave_out: tuple[str, ...] = (), structure: orm.StructureData | None = None, **changes: Any
    ) -> orm.TrajectoryData:
        namelists = {name: dict(content) for name, content in PW_PARAMETERS.items()}
        for key, value in changes.items():
            namelists["ELECTRONS" if key in ("conv_thr", "mixing_beta") else "SYSTEM"][key] = value
        kpoints = orm.KpointsData()
        kpoints.set_kpoints_mesh([1, 1, 1])
        calculation = orm.CalcJobNode(computer=code.computer, process_type=PW)
        inputs: dict[str, orm.Data] = {
            "code": code,
            "structure": structure or orm.StructureData(ase=frame),
            "parameters": orm.Dict(namelists),
            "kpoints": kpoints,
            **{f"pseudos__{element}": pseudo(element) for element in sorted(set(frame.symbols))},
        }
        for name, node in inputs.items():
            calculation.base.links.add_incoming(node.store(), LinkType.INPUT_CALC, name)
        calculation.store()
        label = orm.TrajectoryData()
        symbols = [f"{symbol}1" for symbol in frame.symbols]
        label.set_trajectory(symbols, frame.positions[None], cells=frame.cell.array[None])
        arrays = {"energy": np.array([frame.get_potential_energy()]), "forces": frame.get_forces()[None]}
        for name, array in arrays.items():
            if name not in leave_out:
                label.set_array(name, array)
        label.base.links.add_incoming(calculation, LinkType.CREATE, "output_trajectory")
        return label.store()

    return make


@pytest.fixture
def level_of() -> Callable[[Any], Any]:
    """Derives the level of theory of a label, as the labelling does."""
    from aiida_sicmlip.calculations.functions.derive_level_of_theory import derive_level_of_theory

    def make(label: Any) -> Any:
        inputs = label.creator.inputs
        return derive_level_of_theory(inputs.parameters, inputs.kpoints, inputs.code, **inputs.pseudos)

    return make


@pytest.fixture
def level(level_of: Callable[[Any], Any], labels: list[Any]) -> Any:
    """The level of theory of the `labels` of a test."""
    return level_of(labels[0])


@pytest.fixture
def training_code(generate_code: Callable[..., Any]) -> Any:
    """A code that trains; its program does nothing."""
    return generate_code("sicmlip.training")
