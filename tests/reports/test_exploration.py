"""Free energies and pictures of biased explorations, from graphs that are made by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from aiida import orm
from click.testing import CliRunner

from aiida_sicmlip.cli import main
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.reports.exploration import free_energy_lines, free_energy_report, heating_cells, heating_values
from aiida_sicmlip.science.free_energy.reweighting import FreeEnergySettings
from aiida_sicmlip.tools.explorations import choose_exploration, read_explorations, selected_points
from tests.graphs.explorations import Explored

SETTINGS = FreeEnergySettings(discard=0, bins=8, blocks=4)


@pytest.fixture
def explored(aiida_profile_clean, divacancy, variables) -> Explored:
    return Explored(divacancy, variables)


@pytest.fixture
def run(explored):
    """A run of two rounds, each with two walkers; the first walker of each has two segments."""
    run = explored.run()
    for index in (0, 1):
        exploration = explored.exploration(run, index)
        segments = []
        for number in (0, 1):
            walker = explored.walker(exploration, number)
            segments.append(explored.segment(walker, seed=10 * index + number))
            if number == 0:
                segments.append(explored.segment(walker, segments[-1], seed=10 * index + 5))
        explored.selection(run, index, segments, [(0, 4), (1, 0), (2, 8)])
    return run


def test_free_energy_of_a_run(run):
    found = choose_exploration(read_explorations(run), None, None)
    assert found.name == "round 1, vv"
    assert [len(sample.bias) for sample in found.samples] == [400, 200]
    assert (np.diff(found.times[0]) > 0).all()
    report = free_energy_report(found, [1], SETTINGS)
    # Without bias it is the histogram.
    values = np.concatenate([sample.variables[:, 1] for sample in found.samples])
    counts, edges = np.histogram(values, 8)
    np.testing.assert_allclose(report["edges"], [edges])
    free = np.array(report["free_energy"], dtype=float)
    np.testing.assert_allclose(
        np.exp(-free[counts > 0] / (1500 * 8.61733e-5)), counts[counts > 0] / counts.max(), rtol=1e-4
    )
    assert report["frames"] == 600
    assert report["effective_samples"] == pytest.approx(600)
    assert [len(pks) for pks in report["calculations"]] == [2, 1]
    text = "\n".join(free_energy_lines(report))
    assert "round 1, vv: 2 walkers at 1500 K" in text
    assert f"lowest at CV 2 = {(edges[:-1] + edges[1:])[counts.argmax()] / 2:.3g}" in text


def test_choice_and_selected_frames(run):
    found = read_explorations(run)
    assert choose_exploration(found, 0, None).name == "round 0, vv"
    assert choose_exploration(found, 1, "vv").name == "round 1, vv"
    with pytest.raises(InputError, match="rounds that have: 0, 1"):
        choose_exploration(found, 7, None)
    with pytest.raises(InputError, match="none is called `other`"):
        choose_exploration(found, 1, "other")
    # Selected frames: rows of the variables come every 0.05 ps from 0.05 ps on, frames every 0.25 ps from 0.
    points = selected_points(found[0], run)
    first, second = found[0].samples
    expected = [first.variables[19], first.variables[199], second.variables[39]]
    np.testing.assert_allclose(points, np.array(expected)[:, :2])


def test_walkers_at_different_temperatures(explored):
    exploration = explored.exploration()
    explored.segment(explored.walker(exploration, 0))
    explored.parameters = orm.Dict({"temperature": 1200.0}).store()
    explored.segment(explored.walker(exploration, 1))
    (found,) = read_explorations(exploration)
    with pytest.raises(InputError, match=r"\[1200.0, 1500.0\] K.*choose one of them as `temperature`"):
        _ = found.temperature
    colder = found.at(1200.0)
    assert colder.temperature == 1200.0 and colder.name == found.name
    assert colder.walkers == (found.walkers[1],)
    assert colder.samples[0] is found.samples[1] and len(colder.times) == 1
    with pytest.raises(InputError, match=r"no walker of .* ran at 900 K; temperatures are: 1200, 1500"):
        found.at(900.0)
    given = ["free-energy", str(exploration.pk), "--bins", "6", "--json"]
    refused = CliRunner().invoke(main, given)
    assert refused.exit_code != 0 and "as `temperature`" in " ".join(refused.output.split())
    done = CliRunner().invoke(main, [*given, "--temperature", "1500"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["temperature"] == 1500.0


def test_heating_is_told_with_a_warning(explored):
    """Of both segments of a walker together; runs of before have no such rows and say nothing."""
    run = explored.run()
    exploration = explored.exploration(run, 0)
    first = explored.segment(explored.walker(exploration, 0), drift=2.5)
    segments = [
        first,
        explored.segment(first.caller, first, drift=2.5),
        explored.segment(explored.walker(exploration, 1)),
    ]
    heated, silent = heating_values(read_explorations(run))
    assert heated["drift"]["value"] == pytest.approx(2.5) and silent["drift"] is None
    # Nine of ten intervals of 0.05 ps end before the next kernel.
    assert heated["drift_time"] == pytest.approx(2 * 200 * 0.05 * 0.9, abs=0.2)
    assert heated["calculations"] == [segment.pk for segment in segments[:2]]
    assert len(heated["warnings"]) == 2 and silent["warnings"] == []
    cells = heating_cells([heated, silent])
    assert cells.rows == [(f"round 0, vv <{first.pk}>", "1500", "1560 ± 0", "1460 ± 0", "2.500 ± 0.000", "yes")]
    assert heating_cells([silent]) is None
    text = "\n".join(free_energy_lines(free_energy_report(read_explorations(run)[0], [0], SETTINGS)))
    assert f"warning: round 0, vv <{first.pk}>: the atoms of the variables are 100 ± 0 K hotter" in text
    assert "the time steps add 2.5 ± " in text


def test_command(run, tmp_path):
    numbers = CliRunner().invoke(main, ["free-energy", str(run.pk), "--json", "--bins", "6", "--round", "0"])
    assert numbers.exit_code == 0, numbers.output
    report = json.loads(numbers.output)
    assert report["exploration"] == "round 0, vv"
    assert len(report["free_energy"]) == 6
    for variables in (["--variables", "2"], ["--variables", "1", "--variables", "2"]):
        picture = tmp_path / f"{len(variables)}.svg"
        drawn = CliRunner().invoke(main, ["free-energy", str(run.pk), *variables, "--plot", str(picture)])
        assert drawn.exit_code == 0, drawn.output
        assert "free energy (eV)" in picture.read_text()
    space = CliRunner().invoke(main, ["results", str(run.pk), "--plot-space", str(tmp_path / "space.svg")])
    assert space.exit_code == 0, space.output
    assert "3 selected" in (tmp_path / "space.svg").read_text()


def test_wrong_options_are_one_message(run):
    for options, message in (
        (["free-energy", "--variables", "3"], "CV 3 is asked for, but there are 2"),
        (["free-energy", *["--variables", "1"] * 3], "give one or two variables"),
        (["free-energy", "--discard", "0.999"], "fewer than"),
        (["free-energy", "--plot", "picture.txt"], "names no picture format"),
        (["results", "--plot-space", "picture.txt"], "names no picture format"),
    ):
        result = CliRunner().invoke(main, [*options, str(run.pk)])
        assert result.exit_code == 1
        assert message in result.output
        assert "Traceback" not in result.output


def test_walkers_that_failed_early_are_left_out(explored):
    exploration = explored.exploration()
    long, short, empty = (
        explored.segment(explored.walker(exploration, number), rows=rows) for number, rows in enumerate((200, 3, 0))
    )
    (found,) = read_explorations(exploration)
    report = free_energy_report(found, [0], SETTINGS)
    assert report["calculations"] == [[long.pk]]
    assert report["left_out"] == [[short.pk], [empty.pk]]
    assert report["frames"] == 200
    assert "2 too short to count" in free_energy_lines(report)[0]
    with pytest.raises(InputError, match="has 200 frames"):
        free_energy_report(found, [0], FreeEnergySettings(discard=0, blocks=500))


def test_unbiased_runs_have_none(explored):
    walker = explored.walker()
    explored.segment(walker, biased=False)
    with pytest.raises(InputError, match="has no biased walker"):
        read_explorations(walker)
