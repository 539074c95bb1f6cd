"""Detection of folders on network file systems, from the mount table of the kernel."""

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
"""Types of network file systems, on which the shared memory of SQLite does not work between machines."""

LOCAL_FUSE_TYPES = frozenset({"fuse.fuse-overlayfs", "fuse.mergerfs", "fuse.ntfs-3g", "fuse.encfs", "fuseblk"})
"""Types of local file systems in user space; others are taken to be remote."""


def network_type(folder: Path, mounts: str | None = None) -> str | None:
    """Return the type of the network file system of ``folder``; ``None`` for a local disk.

    :param folder: need not exist.
    :param mounts: mount table in the format of the kernel; by default that of this machine. Without one (on systems
        other than Linux), all disks are taken to be local.
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
    """Return the type of the mount point closest to ``folder``; the last one if several have the same path."""
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
    """Decode the octal escapes of spaces, tabs and backslashes in the mount table."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), text)
