"""What the studies of models compute; the studies themselves take minutes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aiida_sicmlip.engine.classical_potential import ClassicalPotential
from aiida_sicmlip.science.training.settings import TrainingParameters
from benchmarks import training
from studies import prior_accuracy, prior_walls, rare_event_models
from studies.edip_runs import POTENTIAL_COMMANDS, SPECIES
from studies.small_models import CUTOFF, KINDS, Study


def test_pairs_of_models_share_what_their_data_have_in_common() -> None:
    errors = {"none": [1.0, 2.0, 3.0], "fitted": [1.1, 2.2, 3.0], "wall": [1.0, 2.0, 3.0], "zbl": [1.0, 2.0, 3.0]}
    found = prior_accuracy.compare(errors)
    assert found["none"]["mean"] == pytest.approx(2.0)
    assert found["none"]["standard_error"] == pytest.approx(1.0 / np.sqrt(3))
    assert found["fitted"]["difference"]["mean"] == pytest.approx(0.1)
    assert found["fitted"]["difference"]["standard_error"] == pytest.approx(0.1 / np.sqrt(3))
    assert found["wall"]["difference"] == {"mean": 0.0, "standard_error": 0.0}
    assert prior_accuracy.compare({kind: [1.0] for kind in KINDS})["fitted"]["difference"]["standard_error"] is None


def test_trainings_of_all_sizes_take_as_many_steps() -> None:
    for size in (20, 60):
        settings = TrainingParameters.from_mapping(
            {name: value for name, value in prior_accuracy.training_settings(size, 3000, 1).items() if name != "seeds"}
        )
        assert settings.length(size).steps == 3000


def test_atoms_that_feel_nothing_overlap() -> None:
    atoms = Study(Path()).atoms
    found = prior_walls.run(atoms, lambda atoms: (0.0, np.zeros((len(atoms), 3))), 3000.0, 3.0, 1)
    assert found["end"] == "overlap" and 0.0 < found["overlap"] < 0.2
    assert found["times"][-1] == pytest.approx(found["overlap"] + prior_walls.AFTERWARDS)
    assert found["lowest_distance"] == min(found["distances"]) < 0.7 * 2 * 1.11
    assert 1500.0 < np.mean(found["temperatures"]) < 4500.0


def test_a_run_ends_when_the_potential_fails() -> None:
    atoms = Study(Path()).atoms
    pull = np.zeros((len(atoms), 3))
    pull[0, 0], pull[1, 0] = 300.0, -300.0
    hot = prior_walls.run(atoms, lambda atoms: (0.0, pull), 300.0, 1.0, 1)
    assert hot["end"] == "too hot" and hot["highest_temperature"] > 1500.0 and hot["times"][-1] < 0.5
    lost = prior_walls.run(atoms, lambda atoms: (0.0, np.full((len(atoms), 3), np.nan)), 300.0, 1.0, 1)
    assert lost["end"] == "not finite" and lost["times"] == [0.0]


def test_runs_without_an_overlap_count_as_later_than_any() -> None:
    def run(overlap: float | None, distance: float, end: str = "complete") -> dict[str, object]:
        return {"overlap": overlap, "end": end, "lowest_distance": distance, "highest_temperature": 3000.0}

    some = prior_walls.summary([run(None, 1.5), run(0.2, 0.1, "lost atoms"), run(0.4, 0.3)])
    assert (some["with_overlap"], some["first_overlap_median"], some["first_overlap_earliest"]) == (2, 0.4, 0.2)
    assert some["ends"] == {"complete": 2, "lost atoms": 1}
    assert (some["lowest_distance"], some["lowest_distance_median"]) == (0.1, 0.3)
    few = prior_walls.summary([run(None, 1.5), run(None, 1.4), run(0.2, 0.1)])
    assert few["first_overlap_median"] is None and few["first_overlap_earliest"] == 0.2


@pytest.mark.program
def test_edip_parts_atoms_that_are_too_near(tmp_path: Path) -> None:
    study = Study(tmp_path)
    near = study.atoms.copy()
    neighbour = int(np.argsort(near.get_distances(0, range(len(near)), mic=True))[1])
    near.set_distance(0, neighbour, 0.65 * study.bond, fix=1, mic=True)
    with ClassicalPotential(SPECIES, POTENTIAL_COMMANDS) as edip:
        calm = prior_walls.run(study.atoms, edip.compute, 300.0, 0.05, 1)
        found = prior_walls.run(near, edip.compute, 300.0, 0.05, 1)
    assert (calm["end"], calm["overlap"]) == ("complete", None)
    assert calm["distances"][0] == pytest.approx(study.bond, abs=1e-6)
    assert found["overlap"] == 0.0 and found["distances"][0] == pytest.approx(0.65 * study.bond, abs=1e-6)
    assert found["distances"][-1] > 0.8 * study.bond
    assert found["highest_temperature"] > 2 * calm["highest_temperature"]


def test_rankings_agree_where_the_lower_error_has_the_higher_score() -> None:
    errors = np.array([0.1, 0.2, 0.3, 0.4])
    assert rare_event_models.rank_correlation(errors, np.array([0.9, 0.8, 0.7, 0.6])) == {
        "spearman": pytest.approx(1.0),
        "agreeing_pairs": 1.0,
    }
    turned = rare_event_models.rank_correlation(errors, np.array([0.8, 0.9, 0.7, 0.6]))
    assert turned["agreeing_pairs"] == pytest.approx(5 / 6) and turned["spearman"] == pytest.approx(0.8)


def test_intervals_come_from_frames_drawn_anew() -> None:
    rng = np.random.default_rng(0)
    reference = [rng.normal(0.0, 3.0, (1, 3)) for _ in range(30)]
    # Errors of the same size in all frames, from small to large: the order of the models hardly ever changes.
    models = [[forces + rng.normal(0.0, size, (1, 3)) for forces in reference] for size in (0.05, 0.4, 1.5)]
    found = rare_event_models.interval(np.array([0.05, 0.4, 1.5]), models, reference)
    assert found["spearman"] == [1.0, 1.0]
    assert all(0 < error < 0.1 for error in found["standard_errors"])
    perfect = rare_event_models.interval(np.array([0.1, 0.2]), [reference, models[0]], reference)
    assert perfect["standard_errors"][0] == 0.0


@pytest.mark.program
def test_both_kinds_of_model_learn_from_the_same_data(tmp_path: Path) -> None:
    options = ["--sizes", "2", "--seeds", "1", "--steps", "4", "--held-out", "2"]
    command = [sys.executable, "-m", "studies.prior_accuracy", str(tmp_path), *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    found = json.loads((tmp_path / "prior_accuracy.json").read_text())["sizes"]["2"]
    assert list(found) == ["1500 K", "2500 K"]
    values = {kind: found["1500 K"]["force_mae"][kind]["values"] for kind in KINDS}
    assert all(0 < value < 10 for (value,) in values.values()) and len({*map(tuple, values.values())}) == len(KINDS)
    models = tmp_path / "models"
    sets = [models / f"1500K_2_{kind}_seed_1" / "training_set.npz" for kind in values]
    assert len({path.read_bytes() for path in sets}) == 1
    # Called directly, NequIP gets the same model, scaled with the same numbers.
    bench = training.Bench(tmp_path, 2)
    scaled = json.loads((models / "1500K_2_none_seed_1" / "training.json").read_text())["model"]["cutoff"]
    assert scaled == CUTOFF and SPECIES == ["Si", "C"]
    assert training.processor_time(bench.prepare("direct", 1), bench.place("direct", 1)) > 0.5
    import yaml

    package = yaml.safe_load((models / "1500K_2_none_seed_1" / "nequip.yaml").read_text())["training_module"]["model"]
    direct = yaml.safe_load((bench.place("direct", 1) / "direct.yaml").read_text())["training_module"]["model"]
    for name, value in package.items():
        if isinstance(value, float):
            assert direct[name] == pytest.approx(value, rel=1e-9), name
        elif name != "per_type_energy_shifts":
            assert direct[name] == value, name
