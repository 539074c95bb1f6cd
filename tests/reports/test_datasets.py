"""Data sets as text: by round where there are several, and no longer than a reader wants."""

from __future__ import annotations

import json

from aiida import orm

from aiida_sicmlip.calculations.functions.subset_dataset import subset_dataset
from aiida_sicmlip.reports import datasets as reports
from aiida_sicmlip.science.labels.comparison import compare_datasets
from aiida_sicmlip.tools.datasets import Origin
from aiida_sicmlip.tools.lineage import SourceOfLabel


def with_rounds(monkeypatch, *rounds: int | None) -> None:
    """Let the configurations of every data set be of these rounds, picked from walkers that started from `vv`."""
    origins = [Origin(SourceOfLabel(place, trajectory=1), index, "vv") for place, index in enumerate(rounds)]
    monkeypatch.setattr(reports, "origins_of_dataset", lambda _: origins)


def test_statistics_by_round(generate_dataset, monkeypatch) -> None:
    with_rounds(monkeypatch, 0, 0, 2)
    report = json.loads(json.dumps(reports.statistics_report(generate_dataset(3))))
    assert [(entry["round"], entry["statistics"]["n_frames"]) for entry in report["rounds"]] == [(0, 2), (2, 1)]
    lines = reports.statistics_lines(report)
    assert [line.split()[0] for line in lines[2].splitlines()[-3:]] == ["0", "2", "all"]
    assert "repeat" not in "\n".join(lines)


def test_repeated_configurations_are_said(generate_dataset, labelled_frames) -> None:
    frames = labelled_frames(2)
    lines = reports.statistics_lines(reports.statistics_report(generate_dataset([*frames, frames[0]])))
    assert lines[-1] == "Configurations that repeat an earlier one: 1"
    # One group alone is not shown beside the same numbers of all.
    assert [line.split()[0] for line in lines[2].splitlines()[-1:]] == ["all"]
    assert "-----" in lines[2].splitlines()[-2]


def test_what_a_set_is(generate_dataset, monkeypatch) -> None:
    whole = generate_dataset(3)
    part = subset_dataset(whole, orm.List([0, 2]))
    with_rounds(monkeypatch, 1, 1)
    lines = reports.dataset_lines(part)
    assert f"  made by            subset_dataset <{part.creator.pk}>" in lines
    assert lines[-1].splitlines()[-1].split() == ["1", "2", "walkers", "from", "vv"]
    assert "  made by            given as it is" in reports.dataset_lines(whole)


def test_long_lists_are_cut(generate_dataset, labelled_frames) -> None:
    frames = labelled_frames(26)
    first, second = generate_dataset(frames), generate_dataset(frames[:1])
    lines, different = reports.comparison_lines(first, second, compare_datasets(frames, frames[:1]))
    assert different
    assert lines[2].startswith(f"configurations in <{first.pk}> only: 25 (indices 1, 2, ") and lines[2].endswith(
        "20, ...)"
    )
    assert lines[3] == f"configurations in <{second.pk}> only: 0"


def test_other_level_alone_is_a_difference(generate_dataset, labelled_frames) -> None:
    frames = labelled_frames(2)
    first, second = generate_dataset(frames), generate_dataset(frames, ecutwfc=45.0)
    assert reports.comparison_lines(first, second, compare_datasets(frames, frames))[1]
    assert not reports.comparison_lines(first, first, compare_datasets(frames, frames))[1]
