"""What goes wrong in ``sicmlip-lmp`` ends the run with a message."""

from __future__ import annotations

import pytest
from ase.io.lammpsdata import write_lammps_data

HEAD = """
units metal
atom_style atomic
read_data structure.data
pair_style allegro
"""

# Each case: commands that replace or follow the head, and the expected message. {model} and {ase} are the compiled
# files.
CASES = {
    "unknown_species": (HEAD + "pair_coeff * * {model} Si Ge", "gives the species `Ge` to atom type 2"),
    "misspelt_species": (HEAD + "pair_coeff * * {model} si C", "Did you mean `Si`?"),
    "too_few_species": (HEAD + "pair_coeff * * {model} Si", "gives 1 species, but there are 2 atom types"),
    "no_file": (
        HEAD + "pair_coeff * * missing.nequip.pt2 Si C",
        "The compiled model `missing.nequip.pt2` does not exist",
    ),
    "packaged": (HEAD + "pair_coeff * * model.nequip.zip Si C", "compile it with `sicmlip compile`"),
    "other_target": (HEAD + "pair_coeff * * {ase} Si C", "compile it with `--target pair_allegro`"),
    "nothing_given": (HEAD + "pair_coeff * *", "expects `pair_coeff * * <model>.nequip.pt2`"),
    # LAMMPS itself refuses these two.
    "types_one_by_one": (HEAD + "pair_coeff 1 1 {model} Si C", "Pair_coeff must start with * *"),
    "left_out_type": (HEAD + "pair_coeff * * {model} Si NULL\nrun 0", "All pair coeffs are not set"),
    "arguments_of_the_style": (HEAD.replace("allegro", "allegro 5.0"), "The pair style allegro takes no arguments"),
    "newton_off": ("newton off\n" + HEAD + "pair_coeff * * {model} Si C\nrun 0", "give `newton on`"),
    "other_units": (HEAD.replace("metal", "real") + "pair_coeff * * {model} Si C\nrun 0", "use `units metal`"),
    "virial_of_atoms": (
        HEAD + "pair_coeff * * {model} Si C\ncompute 1 all stress/atom NULL\ndump 1 all custom 1 d.dump c_1[1]\nrun 0",
        "gives no virial of single atoms",
    ),
}


@pytest.fixture(scope="module")
def refusals(allegro_model, lammps_in, rattled_carbide, tmp_path_factory):
    """Messages and logs of all cases, each in an instance of its own of one process."""
    runner = lammps_in(tmp_path_factory.mktemp("refusals"))
    write_lammps_data(runner.folder / "structure.data", rattled_carbide(), specorder=["Si", "C"], masses=True)
    files = {"model": allegro_model.pair_allegro, "ase": allegro_model.ase}
    cases = {name: text.format(**files) for name, (text, _) in CASES.items()}
    messages = runner.messages(cases, "pair_bridge:PairBridge")
    return {name: (messages[name], (runner.folder / f"{name}.log").read_text()) for name in CASES}


@pytest.mark.program
@pytest.mark.parametrize("name", CASES)
def test_wrong_use_is_refused_with_a_message(name, refusals):
    message, log = refusals[name]
    assert CASES[name][1] in message
    assert CASES[name][1] in log
    assert message.startswith("ERROR")


@pytest.mark.program
def test_the_program_fails_with_the_message(run_lammps, rattled_carbide):
    write_lammps_data(run_lammps.folder / "structure.data", rattled_carbide(), specorder=["Si", "C"], masses=True)
    result = run_lammps(HEAD + "pair_coeff * * missing.nequip.pt2 Si C\n", "-log", "run.log", "-screen", "none")
    expected = "The compiled model `missing.nequip.pt2` does not exist"
    assert result.returncode == 1
    assert expected in result.stderr
    assert expected in (run_lammps.folder / "run.log").read_text()


@pytest.mark.program
def test_an_exception_while_it_runs_is_an_error_of_lammps(run_lammps, rattled_carbide, allegro_model):
    write_lammps_data(run_lammps.folder / "structure.data", rattled_carbide(), specorder=["Si", "C"], masses=True)
    (run_lammps.folder / "input.lmp").write_text(
        HEAD + f"pair_coeff * * {allegro_model.pair_allegro} Si C\nfix 1 all nve\nrun 10\n"
    )
    (run_lammps.folder / "failing.py").write_text(
        """
from aiida_sicmlip.engine.compiled_potential import CompiledPotential
from aiida_sicmlip.engine.programs.lmp import main

calls, evaluate = [], CompiledPotential.evaluate
def failing(self, *arguments):
    calls.append(1)
    if len(calls) == 5:
        raise MemoryError("out of {memory}")
    return evaluate(self, *arguments)
CompiledPotential.evaluate = failing
raise SystemExit(main(["-in", "input.lmp"]))
"""
    )
    result = run_lammps.python("failing.py")
    assert result.returncode == 1
    log = (run_lammps.folder / "log.lammps").read_text()
    assert "MemoryError: out of {memory}" in log
    assert "Loop time" not in log


@pytest.mark.program
def test_errors_of_lammps_itself(run_lammps):
    result = run_lammps("units metal\nno_such_command\n")
    assert result.returncode == 1
    assert "Unknown command" in result.stderr
    assert "Unknown command" in (run_lammps.folder / "log.lammps").read_text()
    assert run_lammps("units metal\n", "-no-such-switch").returncode != 0
    assert run_lammps(None, "-in", "missing.lmp").returncode != 0
