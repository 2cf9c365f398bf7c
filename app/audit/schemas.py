"""The wire form of the audit log."""

from typing import Any, Literal

from pydantic import Field

from app.schemas import Answer, CreatedAt


class AuditAnswer(Answer):
    """One thing that somebody did."""

    object: Literal["audit_entry"] = Field(
        "audit_entry", description="What this is.", examples=["audit_entry"]
    )
    id: str = Field(description="Its id.", examples=["aud_0n5c1k4v8d2s6m9q3x7z1b5f"])
    created_at: CreatedAt
    project: str | None = Field(
        description="The name of the object's project; null for what concerns the server.",
        examples=["biology"],
    )
    project_id: str = Field(
        description="Id of that project, whose chain this entry is in; or server.",
        examples=["proj_0n5c1k4v8d2s6m9q3x7z1b5f"],
    )
    seq: int = Field(description="Its number in the chain, from 1, without gaps.", examples=[42])
    key_id: str | None = Field(
        description="Id of the key that did it; null for the command line and for the server itself.",
        examples=["key_1c8k3v6n0q5x2z7m4d9s1b6f"],
    )
    role: str = Field(
        description="The key's role then; operator: by the command line; server: by the server itself.",
        examples=["write"],
    )
    action: str = Field(description="What was done to what kind of object.", examples=["job.create"])
    object_id: str | None = Field(
        description="Id of the object; of an alias its name.", examples=["job_0n5c1k4v8d2s6m9q3x7z1b5f"]
    )
    request_id: str | None = Field(
        description="The X-Request-Id of the answer to the request that did it.",
        examples=["5f2c9a7e41d0b8836ce1f094"],
    )
    data: dict[str, Any] = Field(
        description="What else is told of it: names of the fields that changed, and a few values; never what "
        "a dataset's rows hold, and never a secret.",
        examples=[{"status": "queued", "dataset_id": "ds_0n5c1k4v8d2s6m9q3x7z1b5f"}],
    )
    previous_sha256: str = Field(
        description="The chain_sha256 of the entry before; 64 zeros for the first.", examples=["0" * 64]
    )
    chain_sha256: str = Field(
        description="SHA-256 of previous_sha256, a line end, and this entry as JSON; docs/audit.md says how.",
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    )
