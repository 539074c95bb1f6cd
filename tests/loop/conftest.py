"""Real runs of the whole loop, small enough for a test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.loop.folder import PROFILE, SMALLEST_STRUCTURES, LoopFolder

SETTINGS = (
    f"protocol: demo\n{SMALLEST_STRUCTURES}"
    + """
max_rounds: MAX_ROUNDS
exploration:
  walkers: 1
  # A model of a few labels fails soon, and the frames before that have to suffice for the next round: no brake.
  parameters:
    {temperature: 500.0, equilibration: 0.0, production: 0.3, frame_interval: 0.002, restart_interval: 0.02,
     temperature_deviations: 12.0, min_distance_ratio: null, discarded_end: 0.004}
  unbiased: {parameters: {production: 0.5}}
  collective_variables: {parameters: {shells: 1, autoencoder: {latent: 2, max_epochs: 30, held_out: 0}}}
  # Six atoms have little room: a strong bias heats them until the run is stopped.
  bias: {barrier: 0.1, pace: 0.01}
  filter: null
selection:
  parameters: {n_training: 4, n_validation: 2, n_fixed_validation: 1, separation: 0.0, n_max: 4, l_max: 3, cutoff: 4.0}
labelling:
  parameters:
    SYSTEM: {ecutwfc: 20.0, ecutrho: 160.0, nspin: 1, tot_magnetization: null}
    ELECTRONS: {conv_thr: 1.0e-5}
training:
  parameters: {model: {cutoff: 4.0}, maximum_steps: 300}
  max_prolongations: 0
"""
)


def settings(max_rounds: int) -> str:
    """Return the settings of a small run with two start structures."""
    return SETTINGS.replace("MAX_ROUNDS", str(max_rounds))


@pytest.fixture(scope="session")
def switched(aiida_in):
    """Return a context in which the profile of a :class:`LoopFolder` is loaded in this process."""

    @contextmanager
    def switch(folder: LoopFolder) -> Iterator[None]:
        from aiida import load_profile

        with aiida_in(folder.path):
            load_profile(PROFILE)
            yield

    return switch


@pytest.fixture(scope="session")
def ask(switched):
    """Return what a command of `aiida-sicmlip` prints in a folder; run in this process, which has loaded AiiDA.

    A process of its own would spend three seconds on that.
    """

    def run(folder: LoopFolder, *words: str) -> str:
        from click.testing import CliRunner

        from aiida_sicmlip.cli import main

        with switched(folder):
            result = CliRunner().invoke(main, [*words, "-p", PROFILE])
        assert result.exit_code == 0, f"{' '.join(words)}\n{result.output}\n{result.exception}"
        return result.stdout

    return run


def require_programs() -> None:
    """Skip where pw.x is not installed."""
    if shutil.which("pw.x") is None:
        pytest.skip("pw.x is not installed; `make install` says how to get it")


@pytest.fixture(scope="session")
def finished_loop(tmp_path_factory) -> Iterator[tuple[LoopFolder, int]]:
    """Return the folder and the PK of a run of two rounds that has ended."""
    require_programs()
    folder = LoopFolder(Path(tmp_path_factory.mktemp("loop")))
    folder.set_up()
    folder.start_daemon()
    try:
        pk = folder.submit(settings(2))
        folder.wait(pk, timeout=900)
        yield folder, pk
    finally:
        folder.stop_daemon()
