"""Which file system a path is on: SQLite must not be on one that other hosts share."""

import re
from pathlib import Path

MOUNTS = Path("/proc/self/mounts")

NETWORK = frozenset(
    {
        *("9p", "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "gfs", "gfs2", "glusterfs", "gpfs"),
        *("lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "smb2", "smb3", "smbfs"),
        *("fuse.ceph", "fuse.cephfs", "fuse.davfs2", "fuse.gcsfuse", "fuse.glusterfs", "fuse.goofys"),
        *("fuse.juicefs", "fuse.mfs", "fuse.moosefs", "fuse.rclone", "fuse.s3fs", "fuse.seaweedfs"),
        *("fuse.sshfs", "fuse.smbnetfs", "fuse.weed"),
    }
)
"""Types, as the table of mounts has them. Their locks and their shared memory do not hold between hosts, and
often not within one."""


def network_of(path: Path, mounts: Path = MOUNTS) -> str | None:
    """The type of the network file system that ``path``, which need not exist, is on; None where it is on
    none, or nobody knows: other systems than Linux have no such table.
    """
    try:
        table = mounts.read_text("utf-8", "surrogateescape")
    except OSError:
        return None
    place, kind, depth = path.resolve(), "", 0
    for line in table.splitlines():
        _, point, of_type = (*line.split(" "), "", "", "")[:3]
        at = Path(re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), point))
        if place.is_relative_to(at) and len(at.parts) >= depth:  # of two at one point the later is on top
            kind, depth = of_type, len(at.parts)
    return kind if kind in NETWORK else None
