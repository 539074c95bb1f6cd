"""`aiida-sicmlip dataset`: what the commands print and make, and one message for invalid input."""

from __future__ import annotations

import json
import re
from pathlib import Path

import ase.db
import ase.io
import pytest
import yaml
from aiida import orm
from click.testing import CliRunner

from aiida_sicmlip.calculations.functions.extend_dataset import extend_dataset
from aiida_sicmlip.cli import main
from aiida_sicmlip.common.labels import label_of_index
from aiida_sicmlip.science.labels.states import LabelState
from tests.conftest import LEVEL_OF_THEORY
from tests.graphs.labels import PW_PARAMETERS


def command(*words: object, status: int = 0) -> str:
    """Return what `aiida-sicmlip dataset` prints, after a look at its exit status."""
    result = CliRunner().invoke(main, ["dataset", *map(str, words)])
    assert result.exit_code == status, (result.output, result.exception)
    assert "Traceback" not in result.output
    return result.output


def made(printed: str) -> orm.Data:
    """Return the data set that a command says it has made."""
    return orm.load_node(int(re.search(r"Made data set <(\d+)>", printed)[1]))


@pytest.fixture
def labels(aiida_profile_clean, generate_label, labelled_frames):
    return [generate_label(frame) for frame in labelled_frames(4)]


@pytest.fixture
def labelled(labels, level):
    """A data set of four labels."""
    return extend_dataset(level, **{label_of_index(place): label for place, label in enumerate(labels)})


@pytest.fixture
def level_file(labels, tmp_path: Path) -> Path:
    """The level of theory of the labels, as their owner states it elsewhere."""
    pseudos = labels[0].creator.inputs.pseudos
    for name, pseudo in pseudos.items():
        (tmp_path / f"{name}.upf").write_text(pseudo.get_content())
    # Charge and spin stand in the file of the labels.
    parameters = {**PW_PARAMETERS, "SYSTEM": {**PW_PARAMETERS["SYSTEM"], "tot_magnetization": None}}
    statement = {
        "parameters": parameters,
        "pseudopotentials": {name: f"{name}.upf" for name in pseudos},
        "kpoints": {"mesh": [1, 1, 1]},
    }
    path = tmp_path / "level.yaml"
    path.write_text(yaml.safe_dump(statement))
    return path


def test_help_lists_the_commands() -> None:
    printed = command("--help")
    assert [line.split()[0] for line in printed.split("Commands:\n")[1].splitlines()] == [
        *("show", "stats", "diff", "export", "import", "subset", "merge")
    ]
    for name in ("show", "stats", "diff", "export", "import", "subset", "merge"):
        assert "Usage:" in command(name, "-h")


def test_show(labelled, labels) -> None:
    printed = command("show", labelled.pk, "--all")
    assert f"Data set <{labelled.pk}>" in printed
    assert f"made by            extend_dataset <{labelled.creator.pk}>" in printed
    assert "quantumespresso.pw; PBE; mesh [1, 1, 1]" in printed and "ecutwfc 30.0" in printed
    assert re.search(r"^0 e +2 \(triplet\) +0 +4$", printed, re.MULTILINE)
    assert re.search(r"^- +4 +labels of given structures$", printed, re.MULTILINE)
    for place, label in enumerate(labels):
        assert re.search(rf"^{place} +- +- +{label.pk} +{label.creator.pk} ", printed, re.MULTILINE)


def test_stats(labelled) -> None:
    printed = command("stats", labelled.pk)
    assert re.search(r"^0 e +2 \(triplet\) +0 +4$", printed, re.MULTILINE)
    assert "Least distances (A)" in printed and "C7Si7 (4)" in printed and "28 C" in printed
    report = json.loads(command("stats", labelled.pk, "--json"))
    assert report["all"] == report["rounds"][0]["statistics"]
    assert (report["pk"], report["all"]["n_frames"], report["rounds"][0]["round"]) == (labelled.pk, 4, None)


@pytest.mark.parametrize("name", ["set.xyz", "set.db"])
def test_export_and_import_give_the_same_content(labelled, labels, level_file, tmp_path, name) -> None:
    path = tmp_path / name
    assert f"Wrote 4 configurations of data set <{labelled.pk}>" in command("export", labelled.pk, path)
    printed = command("import", path, "--level", level_file, "--label", "from a colleague")
    back = made(printed)
    assert back.get_content(mode="rb") == labelled.get_content(mode="rb")
    assert back.base.caching.compute_hash() == labelled.base.caching.compute_hash()
    assert back.label == "from a colleague"
    assert f"dataset stats {back.pk}" in printed
    charge = "`total_charge`" if name == "set.db" else "`charge`"
    assert f"charge from {charge}, spin from `spin` and `multiplicity`" in printed
    n_atoms = sum(map(len, labelled.frames()))
    assert f"4 configurations of {n_atoms} atoms; 4 periodic; charge 0 e in 4; 0 repeated" in printed
    levels = json.loads((tmp_path / "set.levels.json").read_text())
    assert levels == {"levels_of_theory": labelled.levels_of_theory}
    again = made(command("import", path, "--level", tmp_path / "set.levels.json"))
    assert again.base.caching.compute_hash() == labelled.base.caching.compute_hash()
    assert command("diff", labelled.pk, back.pk).startswith("level of theory: the same")
    if name == "set.db":
        found = [row.label_uuid for row in ase.db.connect(path).select()]
    else:
        found = [frame.info["label_uuid"] for frame in ase.io.read(path, index=":")]
    assert found == [label.uuid for label in labels]
    shown = command("show", back.pk)
    assert f"file {name} <{back.creator.inputs.file.pk}>" in shown and "`from a colleague`" in shown


def test_format_can_be_given(labelled, tmp_path) -> None:
    command("export", labelled.pk, tmp_path / "set.data", "--format", "extxyz")
    assert len(ase.io.read(tmp_path / "set.data", index=":", format="extxyz")) == 4
    assert "ends in `.data`" in command("export", labelled.pk, tmp_path / "other.data", status=1)
    assert "JSON, which can only be read" in command("export", labelled.pk, tmp_path / "set.json", status=1)
    assert "already exists" in command("export", labelled.pk, tmp_path / "set.data", "--format", "db", status=1)


def test_import_with_other_names_at_another_level(labelled, tmp_path) -> None:
    path = tmp_path / "set.xyz"
    command("export", labelled.pk, path)
    text = path.read_text().replace("energy=", "REF_energy=").replace("charge=0 spin=2 multiplicity=3 ", "")
    path.write_text(text)
    statement = {"program": "vasp", "functional": "PBE", "settings": {"encut": 400.0, "tot_charge": -1}}
    (tmp_path / "vasp.yaml").write_text(yaml.safe_dump(statement))
    words = command("import", path, "--level", tmp_path / "vasp.yaml", status=1)
    assert "frame 0 of `set.xyz` has no `energy`" in words and "--energy NAME" in words.replace("\n", " ")
    options = ("--level", tmp_path / "vasp.yaml", "--energy", "REF_energy")
    assert "does not say the spin of its configurations" in command("import", path, *options, status=1)
    words = command("import", path, *options, "--spin", "none", "--charge", "0", status=1)
    assert "`--charge` is 0, but" in words and "states -1; remove the wrong one" in words.replace("\n", " ")
    assert "`import.spin` is 'two'" in command("import", path, *options, "--spin", "two", status=1)
    printed = command("import", path, *options, "--spin", "none")
    assert "charge from what is stated, spin from what is stated" in printed
    back = made(printed)
    assert back.state_counts == {LabelState(-1, None, 0): 4}
    assert back.creator.inputs.parameters.get_dict() == {"energy": "REF_energy", "charge": -1, "spin": "none"}
    printed = command("diff", labelled.pk, back.pk, status=1)
    assert "`program` is 'quantumespresso.pw'" in printed and "configurations in both: 0" in printed


def test_wrong_imports_leave_nothing_behind(labelled, level_file, tmp_path) -> None:
    path = tmp_path / "set.xyz"
    command("export", labelled.pk, path)
    statement = yaml.safe_load(level_file.read_text())
    before = orm.QueryBuilder().append(orm.Node).count()
    assert "there is no file" in command("import", tmp_path / "none.xyz", "--level", level_file, status=1)
    assert "does not exist" in command("import", path, "--level", tmp_path / "none.yaml", status=1)
    statement["parameters"]["SYSTEM"]["ecutrh"] = 300.0
    level_file.write_text(yaml.safe_dump(statement))
    assert "Did you mean `ecutrho`" in command("import", path, "--level", level_file, status=1)
    assert orm.QueryBuilder().append(orm.Node).count() == before


def test_diff(generate_dataset, labelled_frames, aiida_profile_clean) -> None:
    frames = labelled_frames(4)
    first, second = generate_dataset(frames[:3]), generate_dataset([frames[2], frames[0], frames[3]], ecutwfc=45.0)
    printed = command("diff", first.pk, second.pk, status=1)
    assert printed.splitlines() == [
        f"level of theory: `ecutwfc` is 30.0 in <{first.pk}> and 45.0 in <{second.pk}>",
        "configurations in both: 2",
        f"configurations in <{first.pk}> only: 1 (indices 1)",
        f"configurations in <{second.pk}> only: 1 (indices 2)",
        "labels of the configurations in both: the same",
        "the configurations in both stand in another order",
    ]
    changed = labelled_frames(3)
    changed[1].calc.results["energy"] += 0.5
    third = generate_dataset(changed)
    assert "labels differ: 1 of" in command("diff", first.pk, third.pk, status=1)
    assert "energies by 0.5 eV, forces by up to 0 eV/A" in command("diff", first.pk, third.pk, status=1)
    assert command("diff", first.pk, first.uuid).splitlines()[1] == "configurations in both: 3"
    assert "is 987654, and no node is called that" in command("diff", first.pk, 987654, status=2)


def test_subset(labelled, labels) -> None:
    part = made(command("subset", labelled.pk, "--indices", "0,2-3"))
    assert part.creator.inputs.places.get_list() == [0, 2, 3]
    rest = made(command("subset", labelled.pk, "--without", "--labels", f"{labels[1].pk},{labels[2].uuid}"))
    assert rest.creator.inputs.places.get_list() == [0, 3]
    assert labelled.n_frames == 4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "no configurations are selected"),
        (("--indices", "a"), "`--indices` contains `a`; give numbers and ranges"),
        (("--indices", "3-1"), "`--indices` contains `3-1`"),
        (("--labels", " ,"), "`--labels` is ' ,'; give at least one word"),
        (("--indices", "0-3"), "all of the 4 configurations"),
        (("--indices", "0-3", "--without"), "none of the 4 configurations"),
        (("--indices", "4"), "has no configuration 4"),
        (("--rounds", "0"), "is of round 0; none was added in a round"),
        (("--structures", "vv"), "started from `vv`"),
    ],
)
def test_wrong_subsets(labelled, options: tuple[str, ...], words: str) -> None:
    before = orm.QueryBuilder().append(orm.Node).count()
    assert words in command("subset", labelled.pk, *options, status=1)
    assert orm.QueryBuilder().append(orm.Node).count() == before


def test_merge(generate_dataset, aiida_profile_clean) -> None:
    parts = [generate_dataset(2, seed=seed) for seed in (1, 2, 3)]
    merged = made(command("merge", *(part.pk for part in parts)))
    assert merged.n_frames == 6
    assert merged.levels_of_theory == [LEVEL_OF_THEORY]
    before = orm.QueryBuilder().append(orm.Node).count()
    assert "--without --indices 0,1" in command("merge", parts[0].pk, merged.pk, status=1)
    assert "at least two data sets" in command("merge", parts[0].pk, status=1)
    assert "a LevelOfTheoryData; give" in command("merge", parts[0].pk, _level().pk, status=1)
    assert orm.QueryBuilder().append(orm.Node).count() == before + 1


def test_charges_spins_and_levels(generate_dataset, aiida_profile_clean, tmp_path) -> None:
    """What differs in them can be merged, seen, exported, taken apart and compared."""
    parts = [generate_dataset(2), generate_dataset(2, state=(-1, 1)), generate_dataset(1, seed=2, ecutwfc=45.0)]
    merged = made(command("merge", *(part.pk for part in parts)))
    printed = command("show", merged.pk, "--all")
    assert re.search(r"^-1 e +1 \(doublet\) +0 +2$", printed, re.MULTILINE)
    assert re.search(r"^0 e +2 \(triplet\) +1 +1$", printed, re.MULTILINE)
    assert re.search(r"level of theory 1 .*ecutwfc 45.0", printed)
    assert re.search(r"^3 .* -1 +1 +0$", printed, re.MULTILINE)
    report = json.loads(command("stats", merged.pk, "--json"))
    assert report["all"]["states"][1] == {"charge": -1, "spin": 1, "level": 0, "n_frames": 2}
    assert report["all"]["n_repeated"] == 0, "one geometry with another charge is another configuration"
    path = tmp_path / "merged.xyz"
    assert "their levels of theory to" in command("export", merged.pk, path).replace("\n", " ")
    read = ase.io.read(path, index=":")
    assert [frame.info["charge"] for frame in read] == [0, 0, -1, -1, 0]
    assert [frame.info["level_of_theory"] for frame in read] == [0, 0, 0, 0, 1]
    words = command("import", path, "--level", tmp_path / "merged.levels.json", status=1)
    assert "holds 2 levels of theory, and an import takes one" in words.replace("\n", " ")
    assert "`merged.levels.json`" in command("export", merged.pk, tmp_path / "merged.db", status=1).replace(
        str(tmp_path) + "/", ""
    )
    for options, part in (
        (("--charges", "-1"), parts[1]),
        (("--spins", "1"), parts[1]),
        (("--charges", "0", "--levels", "0"), parts[0]),
        (("--levels", "1"), parts[2]),
    ):
        taken = made(command("subset", merged.pk, *options))
        assert taken.base.caching.compute_hash() == part.base.caching.compute_hash()
    printed = command("diff", merged.pk, parts[0].pk, status=1)
    assert f"level of theory 1 of <{merged.pk}> is not in the other" in printed
    assert "configurations in both: 2" in printed
    assert "has the charge 1; there is 0, -1" in command("subset", merged.pk, "--charges", "1", status=1)
    assert "`--spins` contains `x`" in command("subset", merged.pk, "--spins", "x", status=1)


def _level() -> orm.Data:
    from aiida_sicmlip.data.level_of_theory import LevelOfTheoryData

    return LevelOfTheoryData(LEVEL_OF_THEORY).store()


@pytest.mark.parametrize("words", [("show", "1"), ("stats", "1"), ("export", "1", "a.xyz"), ("subset", "1")])
def test_nodes_that_are_not_there(aiida_profile_clean, words: tuple[str, ...], tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = ("--indices", "0") if words[0] == "subset" else ()
    assert "is 987654, and no node is called that" in command(words[0], 987654, *words[2:], *options, status=1)
