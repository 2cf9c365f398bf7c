"""Files that come in parts."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped

from app.storage.declaring import Owned, Table


class Upload(Owned, Table):
    """A file that has not come as a whole. Its first ``received`` bytes are on the disk of ``host``: others
    that lie there were never confirmed. ``kept_until`` is on the database's clock.
    """

    __tablename__ = "uploads"
    __table_args__ = (sa.Index(None, "project_id", "id"),)

    shared: Mapped[bool]
    columns: Mapped[dict[str, Any]]
    charset: Mapped[str | None]
    size_bytes: Mapped[int]
    received: Mapped[int]
    sha256: Mapped[str | None]
    host: Mapped[str]
    kept_until: Mapped[float]
