"""Errors of groups, the worst configurations and the texts, from graphs that are made by hand."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from aiida.orm import load_node
from click.testing import CliRunner

from aiida_sicmlip.calculations.functions.merge_datasets import merge_datasets
from aiida_sicmlip.cli import main
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.reports.evaluation import (
    GROUPINGS,
    evaluation_report,
    evaluation_text,
    grouped_errors,
    worst_configurations,
)
from aiida_sicmlip.tools.evaluations import Evaluation, read_evaluation
from tests.evaluating import evaluated
from tests.exploring import Explored
from tests.learning import Learned


@pytest.fixture
def learned(aiida_profile_clean, divacancy, variables, generate_label, labelled_frames) -> Learned:
    return Learned(Explored(divacancy, variables), generate_label, labelled_frames(6))


@pytest.fixture
def evaluation(learned: Learned, edip) -> Evaluation:
    """Two imported configurations, and two rounds of two each."""
    other = LabelledDataSetData.from_frames(learned.frames[4:], learned.datasets[1].level_of_theory).store()
    merged = merge_datasets(dataset_00=other, dataset_01=learned.datasets[1])
    return read_evaluation(evaluated(learned.explored, merged, edip, committee=3))


def errors_of(evaluation: Evaluation, frames: list[int]) -> np.ndarray:
    return (evaluation.predicted_forces - evaluation.reference_forces).reshape(6, 14, 3)[frames]


def test_rounds_and_defects(evaluation: Evaluation) -> None:
    by_round, by_defect = (grouped_errors(evaluation, by) for by in ("round", "defect"))
    assert [(group.name, group.n_frames) for group in by_round] == [("0", 2), ("1", 2), ("imported", 2)]
    assert [(group.name, group.n_frames) for group in by_defect] == [("antisite_pair", 2), ("vv", 2), ("imported", 2)]
    for group, frames in zip([*by_round, *by_defect], [[2, 3], [4, 5], [0, 1], [3, 5], [2, 4], [0, 1]], strict=True):
        errors = errors_of(evaluation, frames)
        assert group.forces.n_atoms == 28
        assert group.forces.force_mae == pytest.approx(np.abs(errors).mean())
        assert group.forces.force_rmse == pytest.approx(np.sqrt((errors**2).mean()))
        energies = evaluation.energy_errors[frames]
        assert group.energies.energy_mae == pytest.approx(np.abs(energies).mean())
        assert group.energies.energy_rmse == pytest.approx(np.sqrt((energies**2).mean()))
        reference = evaluation.reference_forces.reshape(6, 14, 3)[frames]
        spread = ((reference - reference.mean()) ** 2).sum()
        assert group.forces.force_r2 == pytest.approx(1 - (errors**2).sum() / spread)


def test_species_and_regions(evaluation: Evaluation) -> None:
    for group in grouped_errors(evaluation, "species"):
        errors = errors_of(evaluation, list(range(6))).reshape(-1, 3)[evaluation.symbols == group.name]
        assert group.forces.force_mae == pytest.approx(np.abs(errors).mean())
        assert (group.n_frames, group.energies) == (6, None)
    regions = {group.name: group for group in grouped_errors(evaluation, "region")}
    assert list(regions) == ["migrating", "surroundings", "elsewhere", "within 3.4 A of a defect", "bulk"]
    # As the evaluation was made: 2, 3 and 9 atoms of each frame, and three at 0.5, 1.5 and 2.5 A.
    assert [group.forces.n_atoms for group in regions.values()] == [12, 18, 54, 18, 66]
    errors = errors_of(evaluation, list(range(6)))
    assert regions["migrating"].forces.force_mae == pytest.approx(np.abs(errors[:, :2]).mean())
    assert regions["bulk"].forces.force_mae == pytest.approx(np.abs(errors[:, 3:]).mean())


def test_worst_configurations_name_their_sources(evaluation: Evaluation) -> None:
    worst = worst_configurations(evaluation)
    mae = np.abs(errors_of(evaluation, list(range(6)))).mean(axis=(1, 2))
    assert [entry["place"] for entry in worst] == list(np.argsort(-mae))
    for entry in worst:
        assert entry["force_mae"] == pytest.approx(mae[entry["place"]])
        if entry["place"] < 2:
            assert entry["defect"] == "imported"
            assert "label_uuid" not in entry
            continue
        label = load_node(entry["label_uuid"])
        assert entry["structure_uuid"] == label.creator.inputs.structure.uuid
        assert load_node(entry["trajectory_uuid"]).n_frames > entry["frame"]
    assert len(worst_configurations(evaluation, 2)) == 2


def test_unknown_grouping(evaluation: Evaluation) -> None:
    with pytest.raises(InputError, match=r"not told by `rounds`\. Did you mean `round`"):
        grouped_errors(evaluation, "rounds")


def test_atoms_without_host_are_a_group(generate_dataset, divacancy, variables, edip) -> None:
    node = evaluated(Explored(divacancy, variables), generate_dataset(2), edip, regions=False)
    last = grouped_errors(read_evaluation(node), "region")[-1]
    assert (last.name, last.forces.n_atoms) == ("no host", 28)
    # An evaluation of an earlier version has no scores to show.
    assert "Rare events" not in evaluation_text(read_evaluation(node))


def test_text(evaluation: Evaluation) -> None:
    text = evaluation_text(evaluation)
    assert text.startswith(f"Evaluation <{evaluation.pk}>: potential <{evaluation.potential}> on data set")
    for words in ("by round", "by defect", "by species", "by region", "antisite_pair", "Rare events", "Committee of 3"):
        assert words in text
    worst = worst_configurations(evaluation)[0]
    assert f"{worst['force_mae']:.4f}" in text
    assert all(entry["label_uuid"] in text for entry in worst_configurations(evaluation) if "label_uuid" in entry)
    only = evaluation_text(evaluation, ["defect"])
    assert "by defect" in only
    assert "by round" not in only


def test_command(evaluation: Evaluation, tmp_path: Path) -> None:
    path = tmp_path / "groups.csv"
    result = CliRunner().invoke(main, ["evaluation", str(evaluation.pk), "--json", "--csv", str(path)])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report == json.loads(json.dumps(evaluation_report(evaluation)))
    assert {group["by"] for group in report["groups"]} == set(GROUPINGS)
    with path.open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == len(report["groups"])
    for row, group in zip(rows, report["groups"], strict=True):
        assert (row["by"], row["group"]) == (group["by"], group["group"])
        assert float(row["force_mae"]) == group["force_mae"]
        assert row["energy_mae"] == ("" if group["energy_mae"] is None else str(group["energy_mae"]))
    shown = CliRunner().invoke(main, ["evaluation", evaluation.uuid, "--by", "species"])
    assert shown.exit_code == 0, shown.output
    assert "by species" in shown.output and "by round" not in shown.output


def test_command_says_what_is_wrong(evaluation: Evaluation) -> None:
    result = CliRunner().invoke(main, ["evaluation", str(evaluation.dataset)])
    assert result.exit_code == 1
    assert "give the PK of an EvaluationCalculation" in result.output
