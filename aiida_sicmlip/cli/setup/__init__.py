"""Set-up by `aiida-sicmlip setup`; each module finds or creates one kind of item and returns its state."""

from __future__ import annotations

from aiida_sicmlip.cli.setup.items import SetupItem, SetupRequest, State
from aiida_sicmlip.cli.setup.sequence import set_up

__all__ = ["SetupItem", "SetupRequest", "State", "set_up"]
