from pathlib import Path

import pytest

from app.storage.mounts import network_of

TABLE = r"""/dev/vda / ext4 rw,relatime 0 0
proc /proc proc rw 0 0
nas:/a /srv/nas nfs4 rw,vers=4.2 0 0
/dev/vdb /srv/nas/local xfs rw 0 0
//pc/share /srv/with\040space\134 cifs rw 0 0
me@there:/ /home/me/there fuse.sshfs rw 0 0
/dev/vdc /data ext4 rw 0 0
host0 /data 9p rw 0 0
drive /mnt/cloud fuse.rclone rw 0 0
odd
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", None),
        ("/srv/nas", "nfs4"),
        ("/srv/nas/a/b/c.sqlite", "nfs4"),
        ("/srv/nas/local/c.sqlite", None),
        ("/srv/nastier/c.sqlite", None),
        ("/srv/with space\\/c.sqlite", "cifs"),
        ("/home/me/there/x", "fuse.sshfs"),
        ("/home/me/x", None),
        ("/data/x", "9p"),
        ("/mnt/cloud/x", "fuse.rclone"),
    ],
)
def test_the_nearest_mount_tells(tmp_path: Path, path: str, kind: str | None) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(TABLE)
    assert network_of(Path(path), mounts) == kind


def test_links_are_followed(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(TABLE)
    (tmp_path / "link").symlink_to("/srv/nas/a")
    assert network_of(tmp_path / "link" / "c.sqlite", mounts) == "nfs4"


def test_without_a_table_nothing_is_known(tmp_path: Path) -> None:
    assert network_of(Path("/srv/nas"), tmp_path / "none") is None
