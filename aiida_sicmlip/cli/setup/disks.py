"""Whether a folder lies on a disk of another machine, asked of the kernel's table of mounts."""

from __future__ import annotations

import re
from pathlib import Path

MOUNT_TABLE = Path("/proc/mounts")

NETWORK_TYPES = frozenset(
    {
        *("9p", "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "gfs", "gfs2", "glusterfs", "gpfs", "lustre"),
        *("ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "pvfs2", "smb3", "smbfs", "virtiofs", "wekafs"),
    }
)
"""File systems whose files several machines can open; SQLite's shared memory does not reach across machines."""

LOCAL_FUSE_TYPES = frozenset({"fuse.fuse-overlayfs", "fuse.mergerfs", "fuse.ntfs-3g", "fuse.encfs", "fuseblk"})
"""Most file systems in user space stand for something far away; these are known to be local."""


def network_type(folder: Path, mounts: str | None = None) -> str | None:
    """Return the type of the network file system that ``folder`` lies on, or ``None`` where the disk is local.

    :param folder: a folder, need not exist.
    :param mounts: the table of mounts as the kernel writes it; the machine's own by default. Where there is none
        (systems other than Linux), every disk counts as local.
    """
    if mounts is None:
        try:
            mounts = MOUNT_TABLE.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
    kind = _file_system_type(folder.resolve(), mounts)
    if kind in NETWORK_TYPES or (kind.startswith("fuse.") and kind not in LOCAL_FUSE_TYPES):
        return kind
    return None


def _file_system_type(folder: Path, mounts: str) -> str:
    """Return the type of the mount with the longest path above ``folder``; of two at one place the later one counts."""
    depth, kind = -1, ""
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) < 3:
            continue
        point = Path(_unescape(fields[1]))
        if (point == folder or point in folder.parents) and len(point.parts) >= depth:
            depth, kind = len(point.parts), fields[2]
    return kind


def _unescape(text: str) -> str:
    """Undo the kernel's octal escapes of blanks, tabs and backslashes."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), text)
