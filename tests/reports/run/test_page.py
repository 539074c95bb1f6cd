"""The page and the JSON of a run, from a graph that is made by hand."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from aiida import orm
from aiida.engine import ProcessState
from click.testing import CliRunner

from aiida_sicmlip.cli import main
from aiida_sicmlip.common.process_types import ACTIVE_LEARNING
from aiida_sicmlip.reports.run.answer import answer_of_run
from aiida_sicmlip.reports.run.material import RunMaterial
from aiida_sicmlip.reports.run.page import heads, run_page
from aiida_sicmlip.reports.run.tables import results_table
from aiida_sicmlip.reports.run.values import run_report
from aiida_sicmlip.reports.text import Cells
from tests.graphs.processes import process
from tests.graphs.runs import CRITERIA, MadeRun

SECTIONS = [
    *("answer", "convergence", "errors", "energies", "exploration", "parity", "composition"),
    *("costs", "failures", "lineage", "reproduce", "versions"),
]
PARITIES = ("parity-training", "parity-validation")
FIGURES = ("convergence", "boxes", "energies", "space", "picks", *PARITIES, "costs", "lineage")
VOID = {"meta", "br", "link", "img", "hr", "input"}


class Page(HTMLParser):
    """What a page holds; fails where a tag is not closed, or closed twice."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.words: dict[str, str] = {}
        self.section = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids += [given["id"]] if "id" in given else []
        self.addresses += [given[name] for name in ("src", "href", "xlink:href", "action", "data") if name in given]
        if tag == "section":
            self.section = given["id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words[self.section] = self.words.get(self.section, "") + data


# Hundreds of nodes, which no test changes: made once.
@pytest.fixture(scope="module")
def made(aiida_profile):
    return MadeRun(name="<script>alert('&')</script>")


@pytest.fixture(scope="module")
def material(made):
    return RunMaterial(made.node)


@pytest.fixture(scope="module")
def page_text(material):
    return run_page(material)


@pytest.fixture(scope="module")
def page(page_text):
    return Page(page_text)


@pytest.fixture(scope="module")
def report(material):
    return json.loads(json.dumps(run_report(material), allow_nan=False))


def test_every_section_is_there_and_holds_something(page):
    assert [name for name in page.ids if name in SECTIONS] == SECTIONS
    assert all(len(page.words[name].split()) > 10 for name in SECTIONS)
    for figure in FIGURES:
        assert f"figure-{figure}-title" in page.ids


def test_nothing_is_fetched(page, page_text):
    """No script, and no address but anchors of the page and pictures in it."""
    assert all(address.startswith(("#", "data:image/png;base64,")) for address in page.addresses)
    body = page_text.split("</style>")[1]
    assert "<script" not in page_text and "http" not in re.sub(r"base64,[\w+/=\s]+", "", body)
    assert "@import" not in page_text and not re.findall(r"url\((?!#figure)", page_text)


def test_ids_are_unique_and_anchors_lead_somewhere(page, page_text):
    assert len(set(page.ids)) == len(page.ids)
    used = {address[1:] for address in page.addresses if address[0] == "#"} | set(
        re.findall(r"url\(#([^)]+)\)", page_text)
    )
    assert used <= set(page.ids)


def test_text_of_the_graph_is_escaped(page, page_text):
    assert "&lt;script&gt;alert(" in page_text
    assert "<script>alert('&')</script>" in page.words["answer"]


def test_numbers_of_page_json_results_and_graph_are_the_same(made, material, page, report):
    assert report["rounds"][1]["errors"]["training"] == made.assessment["training"]
    assert [entry["value"] for entry in report["rounds"][1]["criteria"]] == [
        verdict["value"] for verdict in made.assessment["criteria"]
    ]
    shown = page.words["convergence"]
    for which in ("training", "validation", "exploring"):
        number = f"{made.assessment[which]['force_mae']:.3f}"
        assert number in shown and number in results_table(material.run)
    for verdict in made.assessment["criteria"]:
        assert verdict["criterion"] in shown
        if verdict["value"] is not None:
            assert f"{verdict['value']:.4g} {'met' if verdict['met'] else 'not met'}" in shown


def test_question_and_answer(made, page, report):
    question, answer = report["question"], report["answer"]
    assert question["structures"][0]["pk"] == made.structure.pk
    assert question["structures"][0]["host"]["n_atoms"] == 16
    assert [entry["threshold"] for entry in question["criteria"]] == [0.2, 0.2, *list(CRITERIA.values())[1:]]
    assert question["level_of_theory"]["functional"] == "PBE" and "as PBE 30 Ry does" in question["text"]
    assert answer["verdict"] == "rounds_used_up" and f"--continue {made.node.pk}" in answer["next"]
    assert "The criteria are not met after 2 rounds." in page.words["answer"]
    unmet = [entry["message"] for entry in report["rounds"][1]["criteria"] if not entry["met"]]
    assert unmet and all(message in answer["text"] for message in unmet)


def test_failures_say_what_was_done(made, page, report):
    label, walker = (
        next(entry for entry in report["failures"] if entry["pk"] == node.pk) for node in made.failed[::-1]
    )
    assert (label["round"], label["step"], label["exit_status"]) == (0, "labelling", 410)
    assert label["message"] == "The electrons did not converge."
    assert "1 of the round's 1 failed labels were replaced" in label["done"]
    assert walker["done"].endswith("returned partial outputs: The frames before are kept.")
    for entry in (label, walker):
        assert entry["command"] in page.words["failures"] and entry["uuid"] in page.words["failures"]
    labels = report["rounds"][0]["labels"]
    assert (labels["asked"], labels["done"], labels["failed"], labels["replaced"]) == (9, 8, 1, 1)


def test_costs_and_composition(report):
    budgets = {entry["name"]: entry for entry in report["costs"]["budgets"]}
    assert (budgets["labels"]["used"], budgets["labels"]["left"]) == (17, 23)
    assert budgets["wall_hours"]["allowed"] is budgets["wall_hours"]["left"] is None
    steps = report["costs"]["by_step"]
    labels = sum(entry["core_hours"] for entry in steps if "labelling" in entry["step"])
    assert labels == pytest.approx(budgets["dft_core_hours"]["used"])
    assert sum(entry["calculations"] for entry in steps if "labelling" in entry["step"]) == 17
    for entry in report["rounds"]:
        (share,) = [share for share in entry["composition"] if share["n_frames"]]
        assert share["n_training"] + share["n_validation"] <= 8 and share["temperature"] == 1500.0
        assert sum(share["n_training"] for share in entry["composition"]) == 5


def test_a_running_run_says_what_is_not_there_yet(aiida_profile):
    node = process(orm.WorkChainNode, ACTIVE_LEARNING, state=ProcessState.WAITING, max_rounds=orm.Int(3))
    page = Page(run_page(RunMaterial(node)))
    assert "Running" in page.words["answer"] and "No round has begun" in page.words["answer"]
    expected = {
        "convergence": "No round has begun yet.",
        "errors": "No round has an evaluation yet",
        "energies": "No round has an evaluation yet",
        "exploration": "No round has explored yet.",
        "parity": "No potential is trained and evaluated yet.",
        "composition": "No round has picked frames yet.",
        "failures": "Nothing has failed.",
        "lineage": "No potential is trained yet.",
    }
    for name, message in expected.items():
        assert message in page.words[name]


@pytest.mark.parametrize(
    ("status", "verdict", "advice"),
    [
        (0, "converged", "export"),
        (410, "nothing_new", "exploration.parameters"),
        (402, "failed", "verdi process report"),
        (702, "budget_used_up", "budget.labels"),
        (705, "budget_used_up", "budget.wall_hours"),
    ],
)
def test_each_end_has_its_verdict_and_advice(material, status, verdict, advice):
    from aiida_sicmlip.workflows.active_learning.loop import ActiveLearningWorkChain

    known = {code.status for code in ActiveLearningWorkChain.exit_codes.values()}
    assert status in known | {0}
    answer = answer_of_run(replace(material.run, exit_status=status, exit_message="So it ended." if status else None))
    assert answer["verdict"] == verdict and advice in answer["next"]


def test_headings_of_tables():
    cells = Cells(("round", "a\nb", "group\none", "\ntwo", "overlap-\nping"), [])
    assert heads(cells) == [
        [("", 1), ("", 1), ("group", 2), ("", 1)],
        [("round", 1), ("a b", 1), ("one", 1), ("two", 1), ("overlapping", 1)],
    ]
    assert heads(Cells(("a", "b\nc"), [])) == [[("a", 1), ("b c", 1)]]


def test_command(made, page_text, tmp_path):
    """A file that is there is left alone; equal graphs give equal pages."""
    file = tmp_path / "page.html"
    file.write_text("mine")
    arguments = ["report", str(made.node.pk), "--output", str(file)]
    refused = CliRunner().invoke(main, arguments)
    assert refused.exit_code == 1 and "exists already: give `--force`" in refused.output and file.read_text() == "mine"
    shown = CliRunner().invoke(main, [*arguments, "--force"])
    assert shown.exit_code == 0, shown.output
    assert f"is in {file}" in shown.output and file.read_text(encoding="utf-8") == page_text
    other = CliRunner().invoke(main, ["report", str(made.failed[0].pk)])
    assert other.exit_code == 1 and "give the PK or UUID of an ActiveLearningWorkChain" in other.output


def test_json_of_both_commands(made, report):
    printed = CliRunner().invoke(main, ["report", str(made.node.pk), "--json"])
    assert json.loads(printed.output) == report
    status = json.loads(CliRunner().invoke(main, ["status", str(made.node.pk), "--json"]).output)
    assert status == {name: report[name] for name in status} and status["schema_version"] == 1
    refused = CliRunner().invoke(main, ["report", str(made.node.pk), "--json", "-o", "file"])
    assert refused.exit_code == 1 and "--json" in refused.output


def test_status_tells_criteria_labels_and_origins(made):
    text = CliRunner().invoke(main, ["status", str(made.node.pk)]).output
    assert "round 0: 9 labels asked, 8 done, 1 failed, 1 of them replaced" in text
    assert f"<{made.failed[1].pk}>: The electrons did not converge." in text
    assert "round 1, picks: vv at 1500 K" in text
    assert "used: 17 of 40 (`budget.labels`) labels, 23 left" in text
    for verdict in made.assessment["criteria"]:
        assert re.search(rf"{re.escape(verdict['criterion'])} +[<>]", text)
