"""What all protocols share on the side of AiiDA: the mixin of work chains that have them, and loading codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from aiida import orm
from aiida.common.exceptions import MultipleObjectsError, NotExistent
from aiida_quantumespresso.workflows.protocols.utils import ProtocolMixin

from aiida_sicmlip.common.exceptions import InputError, nearest_name
from aiida_sicmlip.science.protocol_files import protocol_path


class ProtocolFileMixin(ProtocolMixin):
    """Mixin for work chains whose inputs are defined by the protocols of the file ``PROTOCOL_FILE``.

    `get_available_protocols`, `get_default_protocol` and `get_protocol_filepath` are as in aiida-quantumespresso;
    `get_protocol_inputs` also rejects unknown settings.
    """

    PROTOCOL_FILE: ClassVar[str]

    @classmethod
    def get_protocol_filepath(cls) -> Path:
        """Return the path of the file of the protocols."""
        return protocol_path(cls.PROTOCOL_FILE)


def load_code(label: Any, field: str) -> orm.AbstractCode:
    """Return the code ``label``.

    :raises InputError: if there is no such code; the message contains the nearest label.
    """
    try:
        return orm.load_code(str(label))
    except MultipleObjectsError as error:
        raise InputError(f"`{field}` is `{label}`, which is the label of several codes; give a PK or UUID.") from error
    except NotExistent as error:
        query = orm.QueryBuilder().append(orm.AbstractCode, project="label", tag="code")
        query.append(orm.Computer, with_node="code", project="label")
        labels = [f"{name}@{computer}" for name, computer in query.all()]
        hint = nearest_name(str(label), labels) if labels else "No code is set up yet: run `aiida-sicmlip setup`."
        raise InputError(f"`{field}` is `{label}`, which does not exist. {hint}") from error
