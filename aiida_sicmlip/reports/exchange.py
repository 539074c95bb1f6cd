"""A model with its history as files, and back into a profile."""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.common.exceptions import IncompatibleStorageSchema, NotExistent
from aiida.tools.archive import create_archive, import_archive
from aiida.tools.archive.create import EXPORT_LOGGER
from aiida.tools.archive.exceptions import ArchiveExportError, ArchiveImportError
from aiida.tools.archive.imports import IMPORT_LOGGER

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.filenames import PORTABLE_MODEL_FILE
from aiida_sicmlip.data.potential import PotentialData
from aiida_sicmlip.reports.model_card import Statement, model_card
from aiida_sicmlip.reports.model_card_text import model_card_text
from aiida_sicmlip.tools.foreign_shell import ShellText, foreign_shell

ARCHIVE_FILE = "history.aiida"
CARD_FILE = "model_card.json"
CARD_TEXT_FILE = "model_card.md"


@dataclass(frozen=True)
class ImportedModel:
    """A model that was brought into a profile.

    model: the model.
    new: whether it is new in the profile.
    card: its model card.
    shell: what new processes would run in a shell here if they were run again.
    """

    model: PotentialData
    new: bool
    card: dict[str, Any]
    shell: tuple[ShellText, ...] = ()


def export_model(model: PotentialData, folder: Path, statement: Statement, with_run: bool = True) -> list[Path]:
    """Write a model, its model card and its history into a new folder, and return the files.

    :param with_run: whether the work chains that called the calculations are part of the history, with all that they
        called: the whole run. Without, it holds what the model was made from, and nothing else.
    :raises InputError: if the folder holds something, the model was not trained here, or a process is still running.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"`{folder}` exists and is not an empty folder; name another one.")
    card = model_card(model, statement)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Written beside the folder and renamed, so that nothing half written stays behind.
    unfinished = folder.with_name(f".{folder.name}-{secrets.token_hex(6)}")
    unfinished.mkdir()
    try:
        names = _write_export(model, unfinished, card, with_run)
        unfinished.replace(folder)
    except ArchiveExportError as error:
        raise InputError(f"the history of model <{model.pk}> cannot be written: {error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return [folder / name for name in names]


def _write_export(model: PotentialData, folder: Path, card: dict[str, Any], with_run: bool) -> list[str]:
    """Write the files of an export into a folder, complete the card by their sums, and return their names."""
    packaged, archive = folder / PORTABLE_MODEL_FILE, folder / ARCHIVE_FILE
    with model.open(mode="rb") as handle:
        packaged.write_bytes(handle.read())
    # AiiDA would print its rules of traversal and its progress.
    EXPORT_LOGGER.setLevel(logging.WARNING)
    create_archive([model], archive, call_calc_backward=with_run, call_work_backward=with_run)
    card["files"] = {
        PORTABLE_MODEL_FILE: {"sha256": _sum(packaged)},
        ARCHIVE_FILE: {"sha256": _sum(archive), "with_run": with_run},
    }
    (folder / CARD_FILE).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    (folder / CARD_TEXT_FILE).write_text(model_card_text(card), encoding="utf-8")
    return [PORTABLE_MODEL_FILE, ARCHIVE_FILE, CARD_FILE, CARD_TEXT_FILE]


def import_model(folder: Path) -> ImportedModel:
    """Bring a model that :func:`export_model` wrote, with its history, into the profile that is loaded.

    :raises InputError: if a file is missing, was changed since it was written, or cannot be read.
    """
    card = _card(folder)
    for name, entry in card["files"].items():
        if not (folder / name).is_file():
            raise InputError(
                f"`{folder / name}` is missing; the folder that `aiida-sicmlip export` wrote is not whole."
            )
        if _sum(folder / name) != entry["sha256"]:
            raise InputError(f"`{folder / name}` was changed after it was written: its SHA-256 sum is another one.")
    uuid = card["model"]["uuid"]
    is_there = orm.QueryBuilder().append(PotentialData, filters={"uuid": uuid}).count() > 0
    last = orm.QueryBuilder().append(orm.Node, project="id").order_by({orm.Node: {"id": "desc"}}).first(flat=True) or 0
    try:
        IMPORT_LOGGER.setLevel(logging.WARNING)
        import_archive(folder / ARCHIVE_FILE, create_group=False)
        model = orm.load_node(uuid)
    except (ArchiveImportError, IncompatibleStorageSchema, NotExistent, OSError) as error:
        raise InputError(f"`{folder / ARCHIVE_FILE}` cannot be imported: {error}") from error
    return ImportedModel(model, not is_there, card, tuple(_note_as_imported(last, model)))


def _note_as_imported(last: int, model: PotentialData) -> list[ShellText]:
    """Put the nodes after a PK into a group of imported ones, as AiiDA does; return the shell text of their processes.

    Nodes that were here before the import stay one's own.
    """
    new = orm.QueryBuilder().append(orm.Node, filters={"id": {">": last}}).all(flat=True)
    if not new:
        return []
    label = f"import of model {model.uuid} after node {last}"
    orm.ImportGroup(label=label, description="Nodes of somebody else's archive.").store().add_nodes(new)
    texts = [text for node in new if isinstance(node, orm.ProcessNode) for text in foreign_shell(node)]
    # The same line stands in many job scripts.
    return list({(text.where.rsplit(".", 1)[-1], text.text): text for text in texts}.values())


def _card(folder: Path) -> dict[str, Any]:
    """Return the model card of a folder.

    :raises InputError: if there is none.
    """
    try:
        card = json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        card = None
    if not isinstance(card, dict) or not {"model", "files"} <= set(card):
        raise InputError(
            f"`{folder}` holds no model card `{CARD_FILE}`; name a folder that `aiida-sicmlip export` wrote."
        )
    model, files = card["model"], card["files"]
    if not isinstance(model, dict) or not isinstance(model.get("uuid"), str):
        raise InputError(f"`{folder / CARD_FILE}` does not say which model it is of: `model.uuid` is no text.")
    # No other file is looked at, wherever a name of the card leads; and none goes without its sum.
    sums = {name: entry.get("sha256") for name, entry in files.items()} if _maps_to_mappings(files) else {}
    if set(sums) != {PORTABLE_MODEL_FILE, ARCHIVE_FILE} or not all(isinstance(each, str) for each in sums.values()):
        raise InputError(
            f"`{folder / CARD_FILE}` has to list the SHA-256 sums of `{PORTABLE_MODEL_FILE}` and `{ARCHIVE_FILE}`, and "
            "nothing else, under `files`."
        )
    return card


def _maps_to_mappings(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(entry, dict) for entry in value.values())


def _sum(path: Path) -> str:
    """Return the SHA-256 sum of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while chunk := handle.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
