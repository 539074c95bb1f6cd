"""Why a process ended as it did, in words."""

from __future__ import annotations

from aiida import orm


def failure_message(node: orm.ProcessNode) -> str:
    """Return why a process did not finish well: its own message, its exception, or who killed it."""
    if node.exit_message:
        return str(node.exit_message)
    lines = [line.strip() for line in (node.exception or "").splitlines() if line.strip()]
    if lines:
        return f"excepted: {lines[-1]}"
    state = node.process_state.value if node.process_state is not None else "it has not begun"
    if node.is_killed and node.process_status:
        return f"{state}: {node.process_status}"
    return f"status {node.exit_status}" if node.exit_status else state
