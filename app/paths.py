"""What stands in paths."""

from typing import Annotated

from fastapi import Path
from starlette.convertors import StringConvertor, register_url_convertor


class _OwnOfJob(StringConvertor):
    """``{job_id:job}``, where a path ends with it: /v1/jobs/plan is no job, and takes POST alone."""

    regex = "(?!plan$)[^/]+"


register_url_convertor("job", _OwnOfJob())

JobId = Annotated[
    str, Path(max_length=64, description="The job's id.", examples=["job_0n5c1k4v8d2s6m9q3x7z1b5f"])
]
ModelId = Annotated[
    str,
    Path(
        max_length=64,
        description="The model's id, or an alias of it.",
        examples=["mdl_0n5c1k4v8d2s6m9q3x7z1b5f"],
    ),
]
DatasetId = Annotated[
    str, Path(max_length=64, description="The dataset's id.", examples=["ds_0n5c1k4v8d2s6m9q3x7z1b5f"])
]
