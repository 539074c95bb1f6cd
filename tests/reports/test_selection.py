"""Selections as tables, numbers and pictures, from graphs that are made by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import spearmanr

from aiida_sicmlip.cli import main
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.reports.selection import draw_selections, selection_report, selection_tables
from aiida_sicmlip.science.defects.building import build_defects
from aiida_sicmlip.tools.selections import choose_rounds, read_selections
from tests.crystals import silicon_carbide_host
from tests.graphs.explorations import Explored

SETTINGS = {"n_training": 12, "n_validation": 6, "n_fixed_validation": 3, "separation": 0.5}


# Hundreds of nodes, which no test changes: made once.
@pytest.fixture(scope="module")
def explored(aiida_profile) -> Explored:
    host = silicon_carbide_host(repeats=(2, 2, 2), cell="primitive")
    return Explored(build_defects(host, [{"kind": "divacancy"}], 1).atoms, None)


def errors_of(picks, seed: int) -> dict[tuple[int, int], float]:
    """Force errors (eV/A) that grow with the distance, with scatter."""
    noise = np.exp(0.25 * np.random.default_rng(seed).normal(size=len(picks)))
    distance = np.where(np.isfinite(picks.reference_distance), picks.reference_distance, 0.05)
    values = 0.8 * np.sqrt(distance) * noise
    return {(int(s), int(f)): float(e) for s, f, e in zip(picks.segment, picks.frame, values, strict=True)}


@pytest.fixture(scope="module")
def run(explored):
    """A run of three rounds with four walkers each; the last one has not evaluated its exploring potential yet."""
    run = explored.run()
    explored.errors = {}
    for index in range(3):
        segments = [explored.segment(biased=False) for _ in range(4)]
        selection = explored.selection(run, index, segments, **SETTINGS)
        explored.errors[index] = errors_of(explored.selections[run.pk][index].picks, index)
        if index == 1:
            # One label of the second round failed.
            explored.errors[index].popitem()
        if index < 2:
            explored.evaluation_of_labels(run, index, selection, explored.errors[index])
    return run


def test_errors_stand_at_the_frames_that_they_are_of(explored, run):
    found = read_selections(run)
    assert [entry.name for entry in found] == ["round 0", "round 1", "round 2"]
    for entry, made in zip(found, explored.selections[run.pk], strict=True):
        np.testing.assert_array_equal(entry.picks.distance, made.picks.distance)
    for entry in found[:2]:
        where = zip(entry.picks.segment, entry.picks.frame, strict=True)
        expected = [explored.errors[entry.steps.index].get((int(s), int(f)), np.nan) for s, f in where]
        np.testing.assert_allclose(entry.force_error, expected, rtol=1e-9)
        # Labels stand in the order of their names, picks in that of the picking: not the same.
        assert (np.diff(entry.picks.segment) < 0).any()
    assert np.isnan(found[1].force_error).sum() == 1
    assert np.isnan(found[2].force_error).all()


def test_frames_in_the_places_of_failed_labels(explored):
    """They stand behind what was picked first, and are told apart."""
    run = explored.run()
    for index in range(2):
        selection = explored.selection(run, index, [explored.segment(biased=False) for _ in range(4)], **SETTINGS)
    picks = explored.selections[run.pk][1].picks
    failed = [(int(picks.segment[place]), int(picks.frame[place])) for place in (0, 2, 14)]
    new = explored.replacements(run, 1, failed)
    first, second = read_selections(run)
    assert (first.n_replacing, second.n_replacing) == (0, 3)
    assert len(second.picks) == len(picks) + 3
    np.testing.assert_array_equal(second.picks.frame[-3:], new.frame)
    # The curve of distances is that of the selection.
    np.testing.assert_array_equal(second.distances, picks.distance[picks.of("training")])
    frames = selection_report(run, [second])["rounds"][0]["frames"]
    assert [entry["replaces"] for entry in frames] == [False] * len(picks) + [True] * 3
    assert "round 1: 3 further frames replaced those of failed labels" in selection_tables([first, second])
    assert selection.pk == second.steps.selection.pk


def test_correlations(run):
    first, second, third = read_selections(run)
    assert first.correlation.reason == "there was no training set to be distant from"
    assert "was not evaluated" in third.correlation.reason
    known = np.isfinite(second.force_error)
    expected = spearmanr(second.picks.reference_distance[known], second.force_error[known]).statistic
    assert second.correlation.rank.value == pytest.approx(expected)
    assert second.correlation.n_frames == 17


def test_tables(run):
    found = read_selections(run)
    first, second, _ = found
    text = selection_tables(found)
    rows = [line.split() for line in text.splitlines() if line[:1] in "012" and line]
    assert len(rows) == 6
    assert rows[0][:6] == ["0", "120", "0", "0", "0", f"{first.described['n_candidates']}"]
    assert " ".join(rows[0][6:]) == "0 12 / 12 6 / 6 3 / 3 0"
    # The fixed set is picked in the first round alone.
    assert " ".join(rows[1][7:]) == f"12 / 12 6 / 6 - {second.summary['n_from_earlier_rounds']}"
    assert rows[3][-2:] == ["-", "-"]
    distances = second.distances
    assert rows[4][1:4] == [f"{value:.2e}" for value in (distances[0], np.median(distances), distances[-1])]
    assert rows[4][4] == f"{second.described['covering_distance']:.2e}"
    rank = second.correlation.rank
    assert f"17 {rank.value:.2f} ({rank.lowest:.2f} to {rank.highest:.2f})" in " ".join(rows[4])
    assert "round 0: no correlation, since there was no training set" in text
    assert "round 0: the first pick is the frame farthest from the mean" in text
    assert "round 1: 1 of 18 picked frames have no label" in text
    assert "round 2: no correlation, since the exploring potential was not evaluated" in text


def test_fewer_than_asked_are_explained(explored):
    run = explored.run()
    segments = [explored.segment(biased=False)]
    explored.selection(run, 0, segments, n_training=40, n_validation=2, separation=0.25)
    text = selection_tables(read_selections(run))
    assert "round 0: 28 of 40 training configurations; no other frame is new" in text


def test_the_window_says_what_it_left_out(run):
    first = read_selections(run)[0]
    window = {"max_disagreement": 1.5, "max_force": 30.0, "min_disagreement": None}
    counts = {"n_above_disagreement": 4, "n_above_force": 2, "n_below_disagreement": 0, "n_outside": 5, "n_unknown": 0}
    summary = {**first.summary, "window": {**window, **counts}}
    bounded = replace(first, summary=summary, described={**first.described, "n_outside_window": 7})
    assert bounded.n_outside_window == 12
    text = selection_tables([bounded])
    assert "round 0: 4 candidates with disagreement above 1.5 eV/A." in text
    assert "round 0: 2 candidates with a predicted force above 30 eV/A." in text
    unknown = replace(first, described={**first.described, "not_predicted": "it was compiled for a GPU."})
    assert "round 0: the window was not applied, since it was compiled for a GPU." in selection_tables([unknown])
    report = selection_report(run, [bounded])["rounds"][0]
    assert report["n_outside_window"] == 12 and report["window"]["max_force"] == 30.0


@pytest.mark.parametrize(("method", "words"), [("top-k", "from the training set alone"), ("random", "drawn at random")])
def test_other_methods_are_explained(explored, method, words):
    run = explored.run()
    segments = [explored.segment(biased=False)]
    explored.selection(run, 0, segments, n_training=5, n_validation=2, method=method)
    assert words in selection_tables(read_selections(run))


def test_novelty_falls_within_a_round(run):
    """Greedy picks come nearer and nearer; those of the first round begin at the mean, so that the second is first."""
    for entry in read_selections(run):
        distances = entry.distances[1:] if entry.steps.index == 0 else entry.distances
        assert (np.diff(distances) <= 0).all()


def test_numbers_are_json(explored, run):
    found = read_selections(run)
    report = json.loads(json.dumps(selection_report(run, found), allow_nan=False))
    assert report["run"] == run.pk
    first, second, third = report["rounds"]
    assert [entry["round"] for entry in report["rounds"]] == [0, 1, 2]
    assert first["correlation"]["rank"] is None
    assert second["correlation"]["rank"]["value"] == pytest.approx(found[1].correlation.rank.value)
    assert (second["n_training"], second["n_training_asked"], second["n_labelled"]) == (12, 12, 17)
    assert third["evaluation"] is None
    assert {frame["reference_distance"] for frame in first["frames"]} == {None}
    assert second["distances_when_picked"] == [
        frame["distance"] for frame in second["frames"] if frame["role"] == "training"
    ]
    assert sum(frame["force_error"] is None for frame in second["frames"]) == 1


def test_picture(run, tmp_path):
    found = read_selections(run)
    for index, maps in ((None, 3), (1, 1)):
        path = tmp_path / f"{maps}.svg"
        draw_selections(found, path, index)
        text = path.read_text()
        assert text.count("component 1 (") == maps
        assert "force MAE, exploring potential" in text
    # Before anything is evaluated there are no errors to draw.
    draw_selections(found[2:], tmp_path / "one.svg")
    assert "force MAE" not in (tmp_path / "one.svg").read_text()


def test_command(run, tmp_path):
    shown = CliRunner().invoke(main, ["selection", str(run.pk), "--round", "1", "--plot", str(tmp_path / "one.svg")])
    assert shown.exit_code == 0, shown.output
    assert "round 1: 1 of 18" in shown.output
    assert "round 0:" not in shown.output
    assert "Wrote a plot of the selections to" in shown.output
    # All rounds for comparison, one map.
    text = (tmp_path / "one.svg").read_text()
    assert "round 2" in text and text.count("component 1 (") == 1
    numbers = CliRunner().invoke(main, ["selection", str(run.pk), "--json"])
    assert [entry["round"] for entry in json.loads(numbers.output)["rounds"]] == [0, 1, 2]


def test_wrong_options_are_one_message(explored, run):
    for pk, options, message in (
        (run.pk, ["--round", "7"], "round 7 has picked no frames; rounds that have: 0, 1, 2."),
        (run.pk, ["--plot", "picture.txt"], "names no picture format"),
        (explored.run().pk, [], "has picked no frames yet"),
        (explored.structure.pk, [], "give the PK or UUID of an ActiveLearningWorkChain"),
    ):
        result = CliRunner().invoke(main, ["selection", str(pk), *options])
        assert result.exit_code == 1
        assert message in result.output
        assert "Traceback" not in result.output


def test_choice_of_a_round(run):
    found = read_selections(run)
    assert choose_rounds(found, None) == found
    assert [entry.name for entry in choose_rounds(found, 2)] == ["round 2"]
    with pytest.raises(InputError, match="round 3 has picked no frames"):
        choose_rounds(found, 3)
