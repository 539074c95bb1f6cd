"""PKs and ranges of any length are refused in one message, before anything is made of them."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from aiida_sicmlip.cli import main

PK = "9" * 30


@pytest.mark.parametrize(
    "command",
    [
        ["status", PK],
        ["results", PK],
        ["report", PK, "--output", "page.html"],
        ["selection", PK],
        ["potential", PK],
        ["dataset", "show", PK],
        ["dataset", "subset", PK, "--indices", "0"],
        ["evaluation", PK],
        ["lineage", PK],
        ["lineage", "2147483648"],
        ["lineage", "9" * 5000],
        ["lineage", "\0"],
        ["affected-by", PK],
        ["diff", PK, PK],
        ["reproduce", PK],
        ["retrain", PK, "--without", PK],
        ["verify", PK],
        ["export", PK, "folder"],
        ["free-energy", PK],
    ],
    ids=lambda command: "-".join(command)[:24].replace("\0", "nul"),
)
def test_numbers_of_nodes(command, aiida_profile, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, command)
    assert result.exit_code in (1, 2) and "and no node is called that; give the PK or UUID of a" in result.output
    assert len(result.output) < 600 and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ("0-1000000000", "names more than 1,000,000 numbers, the last with `0-1000000000`"),
        (",".join(["0-400000"] * 3), "names more than 1,000,000 numbers, the last with `0-400000`"),
        ("9" * 40, "give numbers and ranges such as `0,2-4`"),
    ],
)
def test_ranges(indices, message, aiida_profile):
    result = CliRunner().invoke(main, ["dataset", "subset", "1", "--indices", indices])
    assert result.exit_code == 1 and message in result.output
