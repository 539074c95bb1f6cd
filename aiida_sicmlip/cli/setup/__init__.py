"""What `aiida-sicmlip setup` makes; each module looks after one kind of thing and says how it stands."""

from __future__ import annotations

from aiida_sicmlip.cli.setup.items import SetupItem, SetupRequest, State
from aiida_sicmlip.cli.setup.sequence import set_up

__all__ = ["SetupItem", "SetupRequest", "State", "set_up"]
