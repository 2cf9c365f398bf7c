"""Tables beside that of models."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.storage.declaring import Owned, Table


class Evaluation(Owned, Table):
    """What a model was measured to be on some rows; ``found`` is all of the answer that was computed."""

    __tablename__ = "evaluations"
    __table_args__ = (sa.Index(None, "project_id", "id"), sa.Index(None, "model_id", "id"))

    model_id: Mapped[str] = mapped_column(sa.ForeignKey("models.id", ondelete="CASCADE"))
    dataset_id: Mapped[str]
    found: Mapped[dict[str, Any]]
