"""Completion of `sicmlip`, by the shells themselves."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aiida_sicmlip.engine.programs.main import SUBCOMMANDS


def script(shell: str) -> str:
    """Return what `sicmlip --completion` prints."""
    command = [sys.executable, "-m", "aiida_sicmlip.engine.programs.main", "--completion", shell]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def of_bash() -> str:
    return script("bash")


def completed(of_bash: str, folder: Path, *words: str) -> set[str]:
    """Return what bash, with the script read, offers for the last of the words; `sicmlip` stands before them."""
    program = f"""{of_bash}
COMP_WORDS=(sicmlip {" ".join(f"'{word}'" for word in words)})
COMP_CWORD={len(words)}
_sicmlip
# With the option `default` bash offers files where a function offers nothing.
if [ ${{#COMPREPLY[@]}} -eq 0 ] && [[ $(complete -p sicmlip) == *"-o default"* ]]; then
    COMPREPLY=($(compgen -f -- "${{COMP_WORDS[COMP_CWORD]}}"))
fi
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "--norc"], input=program, cwd=folder, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["com"], {"compile"}),
        (["--com"], {"--completion"}),
        (["--completion", ""], {"bash", "zsh", "fish"}),
        (["train", "--s"], {"--settings", "--set", "--start-from"}),
        (["train", "--protocol", "b"], {"balanced"}),
        (["compile", "--device", ""], {"cpu", "cuda"}),
        (["compile", "model.zip", "--target", "pair"], {"pair_allegro"}),
        (["select", "pool", "--method", "t"], {"top-k"}),
        (["compile", "m"], {"model.nequip.zip"}),
        (["train", "--settings", "tr"], {"training.json"}),
        (["train", "--method", ""], {"model.nequip.zip", "training.json"}),
    ],
)
def test_bash(of_bash: str, tmp_path: Path, words: list[str], offered: set[str]) -> None:
    for name in ("model.nequip.zip", "training.json"):
        (tmp_path / name).touch()
    assert completed(of_bash, tmp_path, *words) == offered


def test_bash_offers_all_subcommands_and_options(of_bash: str, tmp_path: Path) -> None:
    assert completed(of_bash, tmp_path, "") == {*SUBCOMMANDS, "-h", "--help", "--version", "--completion"}
    options = {"--settings", "--processes", "--output", "--report", "-h", "--help"}
    assert completed(of_bash, tmp_path, "describe", "-") == options


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_read_their_scripts(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    program = "autoload -U compinit && compinit -D\n" if shell == "zsh" else ""
    program += script(shell)
    if shell == "fish":
        program += "complete -C 'sicmlip comp'\n"
    done = subprocess.run([shell], input=program, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    if shell == "fish":
        assert done.stdout.split()[0] == "compile"
