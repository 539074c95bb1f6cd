"""How a training ends that was interrupted, ran out of memory, or did not improve."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aiida_sicmlip.common.exit_status import NO_FORCES, OUT_OF_GPU_MEMORY, OUT_OF_MEMORY, UNKNOWN_SPECIES
from aiida_sicmlip.common.killed_jobs import cause_of_end

FIXTURES = Path(__file__).parent / "fixtures" / "training"
KILLED = b"_aiidasubmit.sh: line 14: 4711 Killed  'sicmlip' 'train'\n"
SLURM_TIME = b"slurmstepd: error: *** JOB 42 ON node1 CANCELLED AT 2025-01-01T00:00:00 DUE TO TIME LIMIT ***\n"
SLURM_MEMORY = b"slurmstepd: error: Detected 1 oom_kill event in StepId=42.batch. Some of the step tasks have been\n"


@pytest.fixture
def ended(
    parse_folder: Callable[..., Any],
    generate_checkpoint: Callable[..., Any],
    tmp_path: Path,
) -> Callable[..., Any]:
    """Parses a complete run with a state beside it: the scheduler's words, changes of report and files."""
    generate_checkpoint()

    def make(
        scheduler: bytes | None = None,
        report: dict[str, Any] | None = None,
        scheduler_status: int | None = None,
        **files: bytes | None,
    ) -> Any:
        folder = tmp_path / "training" / "run"
        for source in (FIXTURES / "default").rglob("*"):
            if source.is_file():
                target = folder / source.relative_to(FIXTURES / "default")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(source.read_bytes())
        for name in ("last.ckpt", "best.ckpt"):
            (folder / "temporary" / name).write_bytes(b"state")
        (folder / "retrieved" / "_scheduler-stderr.txt").write_bytes(scheduler or b"")
        path = folder / "retrieved" / "training_report.json"
        if scheduler is not None:
            path.unlink()
        else:
            path.write_text(json.dumps({**json.loads(path.read_text()), **(report or {})}))
        changed = {name.replace("__", "."): content for name, content in files.items()}
        return parse_folder(folder, changed, scheduler_status=scheduler_status)

    return make


def test_the_walltime_ends_a_training_that_another_goes_on_with(ended: Callable[..., Any]) -> None:
    parsed = ended(report={"stop_reason": "wall_time_limit"})
    assert parsed.status == 400
    assert "after 6 steps" in parsed.message and "`checkpoint`" in parsed.message
    assert {"potential", "checkpoint", "training_curve", "results", "configuration"} == set(parsed.outputs)
    assert parsed.outputs["checkpoint"].steps == 6


def test_a_training_that_ended_by_itself_keeps_no_state(ended: Callable[..., Any]) -> None:
    parsed = ended()
    assert parsed.status == 0
    assert "checkpoint" not in parsed.outputs


@pytest.mark.parametrize(
    ("scheduler", "status", "words"),
    [
        (SLURM_TIME, 400, "after 6 steps"),
        (SLURM_MEMORY, 411, "`max_memory_kb`"),
        (KILLED, 411, "killed with signal 9"),
        (b"", 401, "interrupted from outside after 6 steps"),
    ],
)
def test_a_kill_leaves_the_state_of_the_last_validation(
    ended: Callable[..., Any], scheduler: bytes, status: int, words: str
) -> None:
    parsed = ended(scheduler, potential__nequip__zip=None)
    assert parsed.status == status
    assert words in parsed.message
    assert parsed.outputs["checkpoint"].steps == 6
    assert "potential" not in parsed.outputs


@pytest.mark.parametrize(("scheduler", "status"), [(SLURM_TIME, 402), (SLURM_MEMORY, 411), (b"", 301)])
def test_a_kill_before_the_first_validation(ended: Callable[..., Any], scheduler: bytes, status: int) -> None:
    none = {"last__ckpt": None, "best__ckpt": None, "training_curve__json": None}
    parsed = ended(scheduler, **none)
    assert (parsed.status, "checkpoint" in parsed.outputs) == (status, False)


@pytest.mark.parametrize(
    ("scheduler_status", "state", "status"),
    [(110, True, 411), (110, False, 411), (120, True, 400), (120, False, 402), (140, True, 401), (140, False, 0)],
)
def test_the_scheduler_knows_better(ended: Callable[..., Any], scheduler_status: int, state: bool, status: int) -> None:
    """Where it keeps accounts. Of a failed node without a state the parser says nothing, so that they stand."""
    none = {} if state else {"last__ckpt": None, "best__ckpt": None, "training_curve__json": None}
    parsed = ended(b"", scheduler_status=scheduler_status, **none)
    assert (parsed.status, "checkpoint" in parsed.outputs) == (status, state)


@pytest.mark.parametrize(
    ("reported", "status", "kept"),
    [
        (OUT_OF_MEMORY, 411, True),
        (OUT_OF_GPU_MEMORY, 412, True),
        (NO_FORCES, 210, False),
        (UNKNOWN_SPECIES, 211, False),
    ],
)
def test_what_the_program_says_itself(ended: Callable[..., Any], reported: int, status: int, kept: bool) -> None:
    parsed = ended(report={"error": {"status": reported, "message": "what {it} said"}})
    assert parsed.status == status
    assert "what {it} said" in parsed.message
    assert ("checkpoint" in parsed.outputs) is kept


def test_a_training_that_does_not_improve_on_where_it_started(ended: Callable[..., Any]) -> None:
    """The curve of the run falls to some loss; weights that were better before the first step are what counts."""
    curve = json.loads((FIXTURES / "default" / "retrieved" / "training_curve.json").read_text())["columns"]
    best = min(curve["validation_loss"])
    assert ended(report={"starting_validation_loss": 1.01 * best}).status == 0
    parsed = ended(report={"starting_validation_loss": best})
    assert parsed.status == 500
    assert f"({best:.4g})" in parsed.message
    assert "potential" in parsed.outputs
    # A training that was interrupted may yet improve.
    assert ended(report={"starting_validation_loss": best, "stop_reason": "wall_time_limit"}).status == 400


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (SLURM_TIME.decode(), "time"),
        (SLURM_MEMORY.decode(), "memory"),
        ("=>> PBS: job killed: walltime 75 exceeded limit 60", "time"),
        ("=>> PBS: job killed: mem 1200kb exceeded limit 1000kb", "memory"),
        ("TERM_MEMLIMIT: job killed after reaching LSF memory usage limit.", "memory"),
        ("TERM_RUNLIMIT: job killed after reaching LSF run time limit.", "time"),
        (KILLED.decode(), "kill"),
        ("slurmstepd: error: *** JOB 42 ON node1 CANCELLED AT 2025-01-01T00:00:00 DUE TO PREEMPTION ***", "cancelled"),
        ("Resources used: cput=00:10:00,walltime=00:10:02", None),
        ("line 14: 4711 Terminated  'sicmlip'", None),
        ("", None),
    ],
)
def test_words_of_schedulers_and_shells(text: str, cause: str | None) -> None:
    assert cause_of_end(text) == cause
