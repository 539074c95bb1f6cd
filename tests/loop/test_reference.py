"""A real run whose labels are by a reference potential, from two cells at two temperatures, up to its data sets.

The training fails at once by design: what comes after the data sets knows nothing of what labelled them.
"""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pytest

from tests.loop.folder import LoopFolder

pytestmark = pytest.mark.program

SETTINGS = """
protocol: demo
codes: {pw: nowhere@nowhere, collective_variables: nowhere@nowhere}
structures:
  vacancy:
    host: {crystal: zincblende, species: [Si, C], lattice_constant: 4.4, repeats: [1, 1, 1], cell: conventional}
    defects:
      - {kind: vacancy, species: C}
    exploration: {temperature: 400.0}
  divacancy: {host: {repeats: [1, 1, 2], cell: conventional}}
bootstrap: {pair_style: tersoff, file: SiC.tersoff, species: [Si, C]}
max_rounds: 1
exploration:
  walkers: 1
  temperatures: [300.0, 600.0]
  # Small cells that start unrelaxed pass the bound that is meant for a potential that fails.
  parameters: {equilibration: 0.0, production: 0.3, frame_interval: 0.01, temperature_deviations: 30.0}
  ramp: null
  bias: null
  filter: null
selection:
  parameters: {n_training: 3, n_validation: 1, separation: 0.0, n_max: 3, l_max: 2, cutoff: 4.0}
labelling:
  reference: {pair_style: edip/multi, file: SiC.edip, species: [Si, C]}
training:
  parameters: {model: {cutoff: 4.0}}
  options: {prepend_text: exit 1}
"""


@pytest.fixture(scope="module")
def labelled_run(tmp_path_factory, switched):
    """The folder and the PK of a run that has ended."""
    from aiida import orm

    folder = LoopFolder(Path(tmp_path_factory.mktemp("reference")))
    folder.set_up()
    folder.start_daemon()
    try:
        pk = folder.submit(SETTINGS)
        end = time.monotonic() + 600
        with switched(folder):
            while not orm.load_node(pk).is_terminated and time.monotonic() < end:
                time.sleep(1)
        yield folder, pk
    finally:
        folder.stop_daemon()


def called(pk, label):
    """Return the process that run ``pk`` called under ``label``."""
    from aiida import orm

    return orm.load_node(pk).base.links.get_outgoing(link_label_filter=label).one().node


def test_labels_are_those_of_the_potential(labelled_run, switched):
    """Each label is one calculation; its forces are EDIP's for its frame, to the last digit, in the data set too."""
    import numpy as np
    from aiida import orm

    from aiida_sicmlip.engine.classical_potential import ClassicalPotential
    from aiida_sicmlip.engine.lammps.plugin_build import lammps_folder
    from aiida_sicmlip.tools.lineage import labels_of_dataset

    folder, pk = labelled_run
    file = lammps_folder() / "share" / "lammps" / "potentials" / "SiC.edip"
    commands = ["pair_style edip/multi", f"pair_coeff * * {file} C Si"]
    with switched(folder), ClassicalPotential(["C", "Si"], commands) as edip:
        # The round got as far as the training, which fails.
        assert orm.load_node(pk).exit_status == 403, folder.report(pk)
        seen = []
        for name, count in (("training_set", 3), ("validation_set", 1)):
            dataset = called(pk, f"round_00_{name}").outputs.result
            assert dataset.levels_of_theory[0]["functional"] == "EDIP/MULTI"
            sources = labels_of_dataset(dataset)
            assert len(sources) == dataset.n_frames == count
            for source, frame in zip(sources, dataset.frames(), strict=True):
                label = orm.load_node(source.label)
                assert frame.get_potential_energy() == label.get_array("energy")[0]
                assert np.array_equal(frame.get_forces(), label.get_array("forces")[0])
                energy, forces = edip.compute(frame)
                assert frame.get_potential_energy() == pytest.approx(energy, abs=1e-9)
                np.testing.assert_allclose(frame.get_forces(), forces, atol=1e-9)
                kept = orm.load_node(source.trajectory).frames([source.frame])[0]
                np.testing.assert_allclose(
                    orm.load_node(source.structure).get_ase().positions, kept.positions, atol=1e-12
                )
                seen.append(source.calculation)
        assert len(set(seen)) == 4
        labels = orm.QueryBuilder().append(
            orm.CalcJobNode, filters={"attributes.process_label": "ReferenceLabelCalculation"}, project="id"
        )
        assert set(labels.all(flat=True)) == set(seen)
        # Tersoff, which explored, is evaluated on labels of EDIP.
        evaluation = called(pk, "round_00_evaluation_of_exploring_potential")
        assert evaluation.inputs.potential.pair_style == "tersoff"
        assert evaluation.outputs.results["force_mae"] > 0.01


def test_walkers_are_of_all_structures_and_temperatures(labelled_run, switched):
    """The larger cell at both temperatures, the other one at its own; each segment has a number of its own."""
    folder, pk = labelled_run
    with switched(folder):
        found = called(pk, "round_00_exploration").outputs.trajectories
        runs = Counter(
            (name, segment.creator.inputs.parameters["temperature"], len(segment.symbols))
            for name, segments in found.items()
            for segment in segments.values()
        )
        assert runs == {("vacancy", 400.0, 7): 1, ("divacancy", 300.0, 14): 1, ("divacancy", 600.0, 14): 1}
        assert sorted(name for segments in found.values() for name in segments) == ["s00", "s01", "s02"]


def test_commands_say_what_labelled_and_what_was_picked(labelled_run, ask):
    folder, pk = labelled_run
    printed = ask(folder, "results", str(pk))
    assert "labels: by edip/multi (SiC.edip), a reference potential instead of DFT" in printed
    printed = ask(folder, "selection", str(pk))
    rows = [line.split() for line in printed.splitlines() if "vacancy" in line and line.startswith("0")]
    # Round, start structure, defect, atoms, temperature, frames; then what was picked.
    assert [row[1] for row in rows] == ["divacancy", "divacancy", "vacancy"]
    assert rows[1][:6] == ["0", "divacancy", "divacancy", "14", "600", "31"]
    assert sum(int(number) for row in rows for number in row[-3:]) == 4
    report = folder.command("verdi", "-p", "loop", "process", "report", str(pk))
    assert "by start structure, divacancy at 300 K:" in report
