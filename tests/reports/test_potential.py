"""Potentials and runs as text, numbers and pictures, from graphs that are made by hand."""

from __future__ import annotations

import html
import json
from dataclasses import replace

import numpy as np
import pytest
from aiida import orm
from ase.calculators.singlepoint import SinglePointCalculator
from click.testing import CliRunner

from aiida_sicmlip.cli import main
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.reports.evaluation_pictures import draw_evaluation, draw_rare_events
from aiida_sicmlip.reports.potential import attempts, potential_lines, potential_report
from aiida_sicmlip.reports.potential_pictures import draw_boxes, draw_potential, file_name
from aiida_sicmlip.science.defects.building import build_defects
from aiida_sicmlip.tools.evaluations import read_evaluation
from aiida_sicmlip.tools.potentials import evaluations_of_rounds, read_potential
from tests.conftest import LEVEL_OF_THEORY
from tests.crystals import silicon_carbide_host
from tests.graphs.explorations import Explored
from tests.graphs.potentials import LEFT, EvaluatedPotentials

HOST = silicon_carbide_host(repeats=(2, 2, 2), cell="primitive")
DEFECT = build_defects(HOST, [{"kind": "divacancy"}], 1)


# Hundreds of nodes, which no test changes: made once.
@pytest.fixture(scope="module")
def evaluated(aiida_profile) -> EvaluatedPotentials:
    return EvaluatedPotentials(Explored(DEFECT.atoms, None), HOST)


def dataset(count: int, seed: int) -> LabelledDataSetData:
    """Return labels of a divacancy, in every other one of which an atom is in the middle of a hop."""
    generator = np.random.default_rng(seed)
    vacant = np.array(DEFECT.sites[0]["position"])
    frames = []
    for place in range(count):
        frame = DEFECT.atoms.copy()
        if place % 2:
            neighbour = np.argsort(np.linalg.norm(frame.positions - vacant, axis=1))[0]
            frame.positions[neighbour] += 0.5 * (vacant - frame.positions[neighbour])
        frame.positions += generator.normal(0.0, 0.03, frame.positions.shape)
        forces = generator.normal(0.0, 1.0, frame.positions.shape)
        frame.calc = SinglePointCalculator(frame, energy=generator.normal(-100.0, 1.0), forces=forces)
        frames.append(frame)
    return LabelledDataSetData.from_frames(frames, [LEVEL_OF_THEORY]).store()


@pytest.fixture(scope="module")
def sets(evaluated) -> list[LabelledDataSetData]:
    """Training and validation set of a first and of a second round."""
    return [dataset(count, seed) for seed, count in enumerate((6, 4, 8, 4))]


@pytest.fixture(scope="module")
def found(evaluated, sets):
    """A potential that is compiled and evaluated."""
    return read_potential(evaluated.training_chain(*sets[:2], committee=True).outputs.potential)


@pytest.fixture(scope="module")
def run(evaluated, sets):
    """A run of two rounds, whose errors are smaller in the second one."""
    node = evaluated.explored.run()
    for index, noise in ((0, 0.3), (1, 0.1)):
        evaluated.training_chain(*sets[2 * index : 2 * index + 2], node, index, noise=noise)
    exploring = evaluated.compilation(None, evaluated.training(None, *sets[:2]).outputs.potential)
    label = "round_01_evaluation_of_exploring_potential"
    evaluated.evaluation(sets[3], exploring.outputs.compiled_potential, node, label, noise=0.4)
    return node


def test_numbers_are_what_the_graph_holds(found):
    report = json.loads(json.dumps(potential_report(found), allow_nan=False))
    left = json.loads((LEFT / "training_report.json").read_text())
    training = report["training"]
    assert training["calculations"] == [found.training.pk]
    assert training["settings"] == left["settings"]
    assert (training["steps"], training["passes"], training["best_step"], training["seed"]) == (6, 3, 6, 3)
    assert training["seconds"] == pytest.approx(left["fit_seconds"])
    assert report["curve"]["validation_loss"] == pytest.approx(
        json.loads((LEFT / "training_curve.json").read_text())["columns"]["validation_loss"]
    )
    assert {name: data["n_frames"] for name, data in report["data"].items()} == {"training": 6, "validation": 4}
    for name, node in found.evaluations.items():
        errors, results = report["errors"][name], node.outputs.results
        assert errors["evaluation"] == node.pk
        assert errors["force_r2"] == pytest.approx(results["force_r2"])
        assert errors["rare_event_score"] == pytest.approx(results["rare_events"]["migrating"]["score"])
    assert [entry["device"] for entry in report["compiled"]] == ["cpu"]
    assert report["prior"] is None


def test_text(found):
    text = "\n".join(potential_lines(potential_report(found)))
    assert f"Potential <{found.potential.pk}>" in text
    assert "6 of at most 6, 3 passes over the training set" in text
    assert "kept the model of step 6; all steps done" in text
    assert "scalar features 8, tensor features 4, 672 weights, float64" in text
    (row,) = [line.split() for line in text.splitlines() if line.startswith("validation ")]
    results = found.evaluations["validation"].outputs.results
    assert row[2:4] == ["4", f"<{found.evaluations['validation'].pk}>"]
    assert row[4:6] == [f"{results[name]:.3f}" for name in ("force_mae", "force_rmse")]
    assert (row[6], row[9]) == (f"{results['force_r2']:.4f}", f"{results['energy_r2']:.4f}")
    assert row[7:9] == [f"{1000 * results[name]:.1f}" for name in ("energy_mae", "energy_rmse")]


def test_a_prior_is_told(evaluated, sets, entry_points):
    from aiida_sicmlip.data.lennard_jones_prior import LennardJonesPriorData
    from aiida_sicmlip.science.training.lennard_jones_fit import fit_prior

    prior = LennardJonesPriorData.from_fit(fit_prior(sets[0].frames())).store()
    node = evaluated.training(None, *sets[:2], prior=prior)
    text = "\n".join(potential_lines(potential_report(read_potential(node.outputs.potential))))
    before, after = (prior.residuals[stage]["forces_rmse"] for stage in ("before", "after"))
    assert f"Lennard-Jones <{prior.pk}>, cutoff 5 A; root mean square force {before:.3f} eV/A, {after:.3f} eV/A" in text
    assert "It is compiled for no machine." in text


def test_a_potential_that_was_not_trained_here(evaluated, portable_potential):
    report = potential_report(read_potential(portable_potential))
    assert (report["training"], report["curve"], report["data"]) == (None, None, {})
    assert "given as it is" in "\n".join(potential_lines(report))


def test_parts_of_a_continued_training(evaluated, sets):
    first = evaluated.training(None, *sets[:2])
    checkpoint = orm.SinglefileData.from_string("state", filename="last.ckpt")
    evaluated.output(first, "checkpoint", checkpoint)
    second = evaluated.training(None, *sets[:2], checkpoint=checkpoint)
    continued = read_potential(second.outputs.potential)
    assert attempts(continued) == [6.0]
    assert f"<{first.pk}>, <{second.pk}> (continued)" in "\n".join(potential_lines(potential_report(continued)))


def test_a_training_that_started_from_a_potential(evaluated, sets, found):
    """The settings of a model are those of the potential then, not of the training."""
    further = evaluated.training(None, *sets[:2], initial_potential=found.potential)
    text = "\n".join(potential_lines(potential_report(read_potential(further.outputs.potential))))
    assert f"that of potential <{found.potential.pk}>, trained further, 672 weights" in text
    assert "scalar features" not in text


def test_pictures_of_a_potential(found, tmp_path):
    drawn, missing = draw_potential(found, tmp_path / "new" / "folder", ending="svg")
    assert missing == []
    kinds = ("parity", "distance_to_defect", "rare_events", "committee")
    expected = {f"{kind}_{name}.svg" for kind in kinds for name in ("training", "validation")}
    assert {path.name for path in drawn} == expected | {"training_curve.svg"}
    folder = tmp_path / "new" / "folder"
    results = found.evaluations["training"].outputs.results
    text = (folder / "parity_training.svg").read_text()
    assert f"RMSE {results['force_rmse']:.3g} eV/Å" in text
    assert f"MAE {1000 * results['energy_mae']:.3g} meV/atom" in text
    text = (folder / "rare_events_training.svg").read_text()
    area = results["rare_events"]["migrating"]["delta_f"]
    assert area["n"] > 0
    assert f"migrating: {area['nac']:.3f} ({area['n']})" in text
    correlation = results["committee"]["forces"]["rank_correlation"]
    assert f"rank correlation {correlation:.2f}" in (folder / "committee_training.svg").read_text()
    assert "near the defect: 3.4 Å" in (folder / "distance_to_defect_training.svg").read_text()


def test_pictures_of_a_run(run, tmp_path):
    found = read_potential(evaluations_of_rounds(run)["training"][1].inputs.potential.creator.inputs.potential)
    drawn, _ = draw_potential(found, tmp_path, ending="svg", run=run)
    assert {"errors_by_round.svg", "rare_events_by_round.svg"} <= {path.name for path in drawn}
    text = (tmp_path / "errors_by_round.svg").read_text()
    for name in ("new potential, training set", "new potential, validation set", "exploring potential, new labels"):
        assert name in text
    # One legend for all panels.
    assert text.count("means by round") == text.count("<!-- means by round -->")
    assert text.count("<!-- means by round -->") == 1
    text = (tmp_path / "rare_events_by_round.svg").read_text()
    assert "round 0, migrating" in text and "round 1, migrating" in text


def test_names_of_files_hold_letters_and_digits_alone():
    assert [file_name(name) for name in ("validation", "new labels of round 1", "data set <12>")] == [
        "validation",
        "new_labels_of_round_1",
        "data_set_12",
    ]


def test_evaluations_beside_each_other(found, tmp_path):
    one, other = (read_evaluation(node) for node in found.evaluations.values())
    draw_rare_events({"one": one, "other": other}, tmp_path / "both.svg")
    text = (tmp_path / "both.svg").read_text()
    assert "one, migrating" in text and "other, migrating" in text and "elsewhere" not in text


def test_what_an_evaluation_lacks_is_said(evaluated, sets, found, tmp_path):
    compiled = found.compilations[0].outputs.compiled_potential
    without = read_evaluation(evaluated.evaluation(sets[2], compiled, hosts={}))
    drawn, missing = draw_evaluation(without, tmp_path, name="other")
    assert [path.name for path in drawn] == ["parity_other.png"]
    assert len(missing) == 2
    assert "distance_to_defect_other.png: No atom has a known distance" in missing[0]
    assert "rare_events_other.png: No region has atoms" in missing[1]
    node = evaluated.evaluation(sets[3], compiled)
    older = replace(read_evaluation(node), results={})
    _, missing = draw_evaluation(older, tmp_path, name="older")
    assert all(f"evaluation <{node.pk}> was made by a version that told no regions" in expected for expected in missing)
    assert len(missing) == 2
    with pytest.raises(InputError, match="no round has an evaluation yet"):
        draw_boxes({"training": {}, "validation": {}}, tmp_path / "none.png")


def test_command(run, tmp_path):
    shown = CliRunner().invoke(main, ["potential", str(run.pk), "--pictures", str(tmp_path), "--format", "svg"])
    assert shown.exit_code == 0, shown.output
    assert "kept the model of step 6" in shown.output
    assert f"drawn: {tmp_path / 'errors_by_round.svg'}" in shown.output
    numbers = CliRunner().invoke(main, ["potential", str(run.pk), "--json"])
    assert list(json.loads(numbers.output)["errors"]) == ["training", "validation"]


def test_command_of_evaluations(found, tmp_path):
    one, other = (node.pk for node in found.evaluations.values())
    arguments = ["evaluation", str(one), "--compare", str(other)]
    shown = CliRunner().invoke(main, [*arguments, "--pictures", str(tmp_path), "--format", "svg"])
    assert shown.exit_code == 0, shown.output
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{name}.svg" for name in ("committee", "distance_to_defect", "parity", "rare_events")
    ]
    text = (tmp_path / "rare_events.svg").read_text()
    assert f"evaluation <{one}>, migrating" in html.unescape(text)
    assert f"evaluation <{other}>, migrating" in html.unescape(text)
    refused = CliRunner().invoke(main, arguments)
    assert refused.exit_code == 1 and "give a folder with `--pictures`" in refused.output


@pytest.mark.parametrize(
    ("identifier", "options", "message"),
    [("987654", [], "is 987654, and no node is called that"), (None, ["--format", "txt"], "'txt' is not one of")],
)
def test_wrong_options_are_one_message(run, identifier, options, message):
    result = CliRunner().invoke(main, ["potential", identifier or str(run.pk), *options])
    assert result.exit_code != 0
    assert message in result.output
    assert "Traceback" not in result.output


def test_a_folder_that_cannot_be_made_is_said(run, tmp_path):
    (tmp_path / "taken").write_text("a file")
    result = CliRunner().invoke(main, ["potential", str(run.pk), "--pictures", str(tmp_path / "taken" / "pictures")])
    assert result.exit_code == 1
    assert "cannot be made" in result.output
