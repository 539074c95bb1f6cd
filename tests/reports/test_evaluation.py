"""Errors of groups, the worst configurations, texts and files."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from aiida_sicmlip.cli import main
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.reports.evaluation import (
    GROUPINGS,
    evaluation_report,
    evaluation_text,
    grouped_errors,
    worst_configurations,
    write_groups,
)
from aiida_sicmlip.science.evaluation.rare_events import score_regions
from aiida_sicmlip.science.evaluation.regions import AtomRegions
from aiida_sicmlip.tools.evaluations import Evaluation, read_evaluation
from tests.graphs.evaluations import evaluated
from tests.graphs.explorations import Explored


@pytest.fixture
def evaluation(labelled_frames) -> Evaluation:
    """Two imported configurations, and two rounds of two each, with predictions that are wrong by noise."""
    frames, generator = labelled_frames(6), np.random.default_rng(11)
    forces = np.concatenate([frame.get_forces() for frame in frames])
    energies = np.array([frame.get_potential_energy() for frame in frames])
    predicted, place = forces + generator.normal(0.0, 0.2, forces.shape), np.tile(np.arange(14), 6)
    # Two atoms migrate and three surround them in each; distances grow from atom to atom.
    region = np.digitize(place, [2, 5])
    scores = score_regions(predicted, forces, AtomRegions(region, place + 0.5, place < 3, []).of_rare_events)
    disagreement = {"mean": 0.1, "maximum": 0.4, "rank_correlation": 0.25}
    sources = [{"file_uuid": "of a file", "file_index": index} for index in range(2)]
    for index in range(4):
        uuids = {f"{name}_uuid": f"{name} {index}" for name in ("label", "structure", "trajectory")}
        start = ("vv", "antisite_pair")[index % 2]
        sources.append({**uuids, "segment": 1, "frame": 7, "round": 10 * (index // 2), "start_structure": start})
    return Evaluation(
        pk=3,
        uuid="of the evaluation",
        potential=1,
        dataset=2,
        results={
            "rare_events": {name: score.to_dict() for name, score in scores.items()},
            "committee": {"n_members": 3, "forces": disagreement, "energies": disagreement},
            "energy_offset_fitted": True,
            "n_without_host": 0,
            "hosts": {
                "3C": {"n_frames": 4, "near_defect_distance": 3.3604},
                "silicon": {"n_frames": 2, "near_defect_distance": 4.1853},
                "diamond": {"n_frames": 0, "near_defect_distance": 2.75},
            },
        },
        n_atoms=np.full(6, 14),
        symbols=np.concatenate([frame.get_chemical_symbols() for frame in frames]),
        reference_energies=energies,
        predicted_energies=energies + generator.normal(0.0, 0.2, 6),
        reference_forces=forces,
        predicted_forces=predicted,
        region=region,
        distance_to_defect=place + 0.5,
        near_defect=place < 3,
        energy_disagreement=None,
        force_disagreement=None,
        atomic_energies=None,
        sources=sources,
    )


def errors_of(evaluation: Evaluation, frames: list[int]) -> np.ndarray:
    return (evaluation.predicted_forces - evaluation.reference_forces).reshape(6, 14, 3)[frames]


def test_rounds_and_defects(evaluation: Evaluation) -> None:
    by_round, by_defect = (grouped_errors(evaluation, by) for by in ("round", "defect"))
    assert [(group.name, group.n_frames) for group in by_round] == [("0", 2), ("10", 2), ("imported", 2)]
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
    assert list(regions) == ["migrating", "surroundings", "elsewhere", "within 3.36 or 4.19 A of a defect", "bulk"]
    # As the evaluation was made: 2, 3 and 9 atoms of each frame, and three at 0.5, 1.5 and 2.5 A.
    assert [group.forces.n_atoms for group in regions.values()] == [12, 18, 54, 18, 66]
    errors = errors_of(evaluation, list(range(6)))
    assert regions["migrating"].forces.force_mae == pytest.approx(np.abs(errors[:, :2]).mean())
    assert regions["bulk"].forces.force_mae == pytest.approx(np.abs(errors[:, 3:]).mean())


def test_worst_configurations_name_their_sources(evaluation: Evaluation) -> None:
    worst = worst_configurations(evaluation)
    mae = np.abs(errors_of(evaluation, list(range(6)))).mean(axis=(1, 2))
    assert [entry["index"] for entry in worst] == list(np.argsort(-mae))
    for entry in worst:
        assert entry["force_mae"] == pytest.approx(mae[entry["index"]])
        source = evaluation.sources[entry["index"]]
        assert source.items() <= entry.items()
        assert entry["defect"] == source.get("start_structure", "imported")
    assert len(worst_configurations(evaluation, 2)) == 2


def test_unknown_grouping(evaluation: Evaluation) -> None:
    with pytest.raises(InputError, match=r"not told by `rounds`\. Did you mean `round`"):
        grouped_errors(evaluation, "rounds")


def test_atoms_without_host_are_a_group(evaluation: Evaluation) -> None:
    """As in evaluations that were made before there were regions, which have no scores to show either."""
    nowhere = {
        "region": np.full(84, -1),
        "distance_to_defect": np.full(84, np.nan),
        "near_defect": np.zeros(84, dtype=bool),
        "results": {},
    }
    old = replace(evaluation, **nowhere)
    last = grouped_errors(old, "region")[-1]
    assert (last.name, last.forces.n_atoms) == ("no host", 84)
    assert "Rare events" not in evaluation_text(old)


def test_given_structures_have_a_round_of_their_own(evaluation: Evaluation) -> None:
    given = replace(evaluation, sources=[{"label_uuid": "a"}, *evaluation.sources[1:]])
    assert [group.name for group in grouped_errors(given, "round")] == ["0", "10", "imported", "no round"]
    names = [group.name for group in grouped_errors(given, "defect")]
    assert names == ["antisite_pair", "vv", "given structures", "imported"]


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


def test_files(evaluation: Evaluation, tmp_path: Path) -> None:
    report = json.loads(json.dumps(evaluation_report(evaluation), allow_nan=False))
    assert {group["by"] for group in report["groups"]} == set(GROUPINGS)
    write_groups(tmp_path / "groups.csv", evaluation)
    with (tmp_path / "groups.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    for row, group in zip(rows, report["groups"], strict=True):
        assert (row["by"], row["group"]) == (group["by"], group["group"])
        assert float(row["force_mae"]) == group["force_mae"]
        assert row["energy_mae"] == ("" if group["energy_mae"] is None else str(group["energy_mae"]))


def test_command(aiida_profile, divacancy, variables, generate_dataset, edip) -> None:
    node = evaluated(Explored(divacancy, variables), generate_dataset(2), edip, committee=3)
    result = CliRunner().invoke(main, ["evaluation", str(node.pk), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == json.loads(json.dumps(evaluation_report(read_evaluation(node))))
    shown = CliRunner().invoke(main, ["evaluation", node.uuid, "--by", "species"])
    assert shown.exit_code == 0, shown.output
    assert "by species" in shown.output and "by round" not in shown.output
    assert "Committee of 3" in shown.output
    refused = CliRunner().invoke(main, ["evaluation", str(node.inputs.dataset.pk)])
    assert refused.exit_code == 1
    assert "give the PK or UUID of an EvaluationCalculation" in refused.output
