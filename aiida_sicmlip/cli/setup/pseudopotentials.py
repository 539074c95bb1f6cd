"""Set-up of the pseudopotential family, from UPF files or by `aiida-pseudo install`."""

from __future__ import annotations

import hashlib
import math
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from aiida_sicmlip.cli.setup.items import SetupItem, SetupRequest, State
from aiida_sicmlip.common.exceptions import InputError

if TYPE_CHECKING:
    from aiida_pseudo.groups.family import PseudoPotentialFamily

DISTRIBUTION_FOLDER = Path("/usr/share/espresso/pseudo")
DISTRIBUTION_FILES = {
    "Si": "Si.pbe-nl-rrkjus_psl.1.0.0.UPF",
    "C": "C.pbe-n-kjpaw_psl.0.1.UPF",
    "H": "H.pbe-kjpaw.UPF",
}
"""Default PBE files of the Debian package quantum-espresso-data, which has several for some elements."""

INSTALLABLE = {
    "sssp": ("SSSP/1.3/PBE/efficiency", ("sssp", "-v", "1.3", "-x", "PBE", "-p", "efficiency")),
    "pseudo-dojo": (
        "PseudoDojo/0.4/PBE/SR/standard/upf",
        ("pseudo-dojo", "-v", "0.4", "-x", "PBE", "-r", "SR", "-p", "standard", "-f", "upf"),
    ),
}
"""Label of the family and arguments of `aiida-pseudo install`, for each library that it can download."""


def set_up_pseudopotentials(request: SetupRequest, profile_name: str) -> SetupItem:
    """Find or create the pseudopotential family in the loaded profile.

    :raises InputError: if files given by the user are unsuitable.
    """
    if request.pseudo_install is not None:
        return _install(request, profile_name)
    if request.pseudo_family is not None:
        return _check_family(request.pseudo_family, request.species)
    return _family_from_files(request)


def element_of(path: Path) -> str | None:
    """Return the element of a UPF file; ``None`` if it is not a UPF file."""
    from aiida_pseudo.data.pseudo.upf import parse_element

    try:
        # The header is at the beginning of files of several megabytes.
        with path.open(encoding="utf-8", errors="replace") as handle:
            symbol: str = parse_element(handle.read(50_000))
    except (OSError, ValueError):
        return None
    return symbol.capitalize()


def require_whole(path: Path) -> None:
    """Read a UPF file to its end.

    :raises InputError: if its end is missing: a section is not closed, or has fewer numbers than its mesh.
    """
    try:
        text = path.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        raise InputError(f"the pseudopotential {path} cannot be read: {error.strerror}.") from error
    wrong = _mistake_in_upf(text)
    if wrong is not None:
        raise InputError(f"the pseudopotential {path} {wrong}; is it complete? Download it again.")


def _mistake_in_upf(text: str) -> str | None:
    """Return what is wrong with the content of a UPF file, in words that follow its name; None if nothing is."""
    # Comments and the input of the generating program may hold anything.
    body = re.sub(r"<PP_INFO>.*?</PP_INFO>|<!--.*?-->", "", text, flags=re.DOTALL)
    opened: list[str] = []
    for end, name, empty in re.findall(r"<(/?)(UPF|PP_[\w.]+)[^<>]*?(/?)>", body):
        if end:
            if not opened or opened.pop() != name:
                return f"closes the section `{name}`, which is not open"
        elif not empty:
            opened.append(name)
    if opened:
        return f"ends before the end of its section `{opened[-1]}`"
    if "<UPF" in body and not body.rstrip().endswith("</UPF>"):
        return "does not end with `</UPF>`"
    mesh = re.search(r"<PP_HEADER[^>]*\bmesh_size\s*=\s*[\"']\s*(\d+)", body)
    for name in ("PP_R", "PP_LOCAL", "PP_RHOATOM"):
        content = re.search(rf"<{name}(?:\s[^>]*)?>([^<]*)</{name}>", body)
        if mesh is None or content is None:
            continue
        words = content[1].split()
        if words and len(words) < int(mesh[1]):
            return f"has {len(words)} numbers in its section `{name}`, but a mesh of {mesh[1]} points"
        if not all(_is_finite(word) for word in words):
            return f"has a value in its section `{name}` that is no finite number"
    return None


def _is_finite(word: str) -> bool:
    try:
        return math.isfinite(float(word.lower().replace("d", "e")))
    except ValueError:
        return False


def choose_files(species: Iterable[str], folder: Path | None, files: Iterable[Path]) -> dict[str, Path]:
    """Return a UPF file for each element of ``species``.

    :param files: files that take precedence over those in ``folder``.
    :param folder: folder with UPF files. Without files and folder, the default files are used, and elements may lack
        one.
    :raises InputError: if a file or the folder does not exist or is not UPF, or an element has no or several files.
    """
    species, files = list(species), list(files)
    chosen = _named_files(files)
    if folder is not None:
        for element, path in _files_of_folder(folder, [symbol for symbol in species if symbol not in chosen]).items():
            chosen[element] = path
    elif not files:
        candidates = {symbol: DISTRIBUTION_FOLDER / name for symbol, name in DISTRIBUTION_FILES.items()}
        return {
            symbol: candidates[symbol] for symbol in species if symbol in candidates and candidates[symbol].is_file()
        }
    missing = [symbol for symbol in species if symbol not in chosen]
    if missing:
        raise InputError(
            f"There is no pseudopotential for {', '.join(missing)} among the files of "
            f"{folder if folder is not None else '`--pseudo-file`'}; give one with `--pseudo-file`."
        )
    return chosen


def _named_files(files: Iterable[Path]) -> dict[str, Path]:
    chosen: dict[str, Path] = {}
    for path in files:
        if not path.is_file():
            raise InputError(f"`--pseudo-file` is {path}, which is not a file.")
        element = element_of(path)
        if element is None:
            raise InputError(f"`--pseudo-file` is {path}, which is not a UPF file with the element in its header.")
        require_whole(path)
        if element in chosen:
            raise InputError(
                f"`--pseudo-file` has two files for {element}, {chosen[element].name} and {path.name}; "
                "give one for each element."
            )
        chosen[element] = path
    return chosen


def _files_of_folder(folder: Path, species: list[str]) -> dict[str, Path]:
    if not folder.is_dir():
        raise InputError(f"`--pseudo-folder` is {folder}, which is not a folder; give a folder with UPF files.")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".upf")
    if not paths:
        raise InputError(f"`--pseudo-folder` is {folder}, which contains no UPF files.")
    by_element: dict[str, list[Path]] = {}
    for path in paths:
        element = element_of(path)
        if element in species:
            by_element.setdefault(element, []).append(path)
    for element, candidates in by_element.items():
        if len(candidates) > 1:
            names = ", ".join(path.name for path in candidates)
            raise InputError(
                f"{folder} contains several pseudopotentials for {element} ({names}); choose one with `--pseudo-file`."
            )
    for candidates in by_element.values():
        require_whole(candidates[0])
    return {element: candidates[0] for element, candidates in by_element.items()}


def _family_from_files(request: SetupRequest) -> SetupItem:
    name = f"pseudopotentials `{request.pseudo_label}`"
    paths = choose_files(request.species, request.pseudo_folder, request.pseudo_files)
    are_named = request.pseudo_folder is not None or bool(request.pseudo_files)
    families = _families(request.pseudo_label)
    if len(families) > 1:
        return _several(request.pseudo_label)
    family = families[0] if families else None
    if family is not None and are_named:
        difference = _difference(family, paths)
        if difference is not None and (not request.replace or request.check):
            detail = f"{difference}; give another `--pseudo-label`, or `--replace`, which relabels the old family"
            return SetupItem(name, State.DIFFERS, detail)
        if difference is not None:
            family.label = f"{request.pseudo_label}-replaced-{family.pk}"
            family = None
    present = set(family.elements) if family is not None else set()
    missing = [symbol for symbol in request.species if symbol not in present]
    if family is not None and not missing:
        return SetupItem(name, State.FOUND, _summary(family, request.species))
    without_file = [symbol for symbol in missing if symbol not in paths]
    if without_file:
        detail = (
            f"no file for {', '.join(without_file)} in {DISTRIBUTION_FOLDER}; `apt install quantum-espresso-data` "
            "(Debian and Ubuntu), or give `--pseudo-folder`, `--pseudo-file` or `--pseudo-install`"
        )
        return SetupItem(name, State.MISSING, detail)
    if request.check:
        action = "creates the family" if family is None else f"adds {', '.join(missing)} to it"
        return SetupItem(name, State.MISSING, f"the files exist; `aiida-sicmlip setup` {action}")
    family = _store(request.pseudo_label, family, {symbol: paths[symbol] for symbol in missing})
    return SetupItem(name, State.MADE, _summary(family, request.species))


def _check_family(label: str, species: Iterable[str]) -> SetupItem:
    name = f"pseudopotentials `{label}`"
    families = _families(label)
    if not families:
        return SetupItem(name, State.MISSING, "no such family; `aiida-pseudo list` shows those that are installed")
    if len(families) > 1:
        return _several(label)
    missing = [symbol for symbol in species if symbol not in families[0].elements]
    if missing:
        return SetupItem(name, State.MISSING, f"the family has none for {', '.join(missing)}; choose another family")
    return SetupItem(name, State.FOUND, _summary(families[0], species))


def _install(request: SetupRequest, profile_name: str) -> SetupItem:
    label, arguments = INSTALLABLE[str(request.pseudo_install)]
    existing = _check_family(label, request.species)
    if existing.state is not State.MISSING or _families(label):
        return existing
    if request.check:
        return SetupItem(existing.name, State.MISSING, "`aiida-sicmlip setup` with the same option downloads it")
    program = "from aiida_pseudo.cli import cmd_root; cmd_root(prog_name='aiida-pseudo')"
    command = [sys.executable, "-c", program, "-p", profile_name, "install", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    installed = _check_family(label, request.species)
    if result.returncode == 0 and installed.state is State.FOUND:
        return SetupItem(installed.name, State.MADE, installed.detail)
    lines = [line for line in (result.stderr + result.stdout).splitlines() if line.strip()]
    reason = textwrap.shorten(lines[-1], 200) if lines else f"exit status {result.returncode}"
    detail = f"`aiida-pseudo install {request.pseudo_install}`, which needs a connection, failed: {reason}"
    return SetupItem(installed.name, State.MISSING, detail)


def _families(label: str) -> list[PseudoPotentialFamily]:
    from aiida.orm import QueryBuilder
    from aiida_pseudo.groups.family import PseudoPotentialFamily

    return QueryBuilder().append(PseudoPotentialFamily, filters={"label": label}).all(flat=True)


def _several(label: str) -> SetupItem:
    detail = "several families have this label; relabel all but one with `verdi group relabel`"
    return SetupItem(f"pseudopotentials `{label}`", State.DIFFERS, detail)


def _difference(family: PseudoPotentialFamily, paths: Mapping[str, Path]) -> str | None:
    """Describe the first element whose file in ``family`` differs from that of ``paths``; ``None`` if all are equal."""
    pseudos = family.pseudos
    for symbol, path in paths.items():
        # aiida-pseudo stores this checksum of each file; it is not for security.
        if symbol in pseudos and pseudos[symbol].md5 != hashlib.md5(path.read_bytes()).hexdigest():
            return f"contains {pseudos[symbol].filename} for {symbol}, whose content differs from {path}"
    return None


def _store(label: str, family: PseudoPotentialFamily | None, paths: Mapping[str, Path]) -> PseudoPotentialFamily:
    from aiida_pseudo.data.pseudo.upf import UpfData
    from aiida_pseudo.groups.family import PseudoPotentialFamily

    nodes = []
    for path in paths.values():
        try:
            nodes.append(UpfData.get_or_create(path))
        except (ValueError, OSError) as error:
            # The message of the parser contains the whole file.
            raise InputError(f"{path} cannot be read as UPF: its header lacks a valid element or valence.") from error
    if family is None:
        family = PseudoPotentialFamily(label=label, description="UPF files from disk").store()
    family.add_nodes([node.store() for node in nodes])
    return family


def _summary(family: PseudoPotentialFamily, species: Iterable[str]) -> str:
    return ", ".join(f"{symbol}: {family.pseudos[symbol].filename}" for symbol in species)
