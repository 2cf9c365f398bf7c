"""What the system says where a file is read: whose fault it is."""

import errno
import re


def number_of(error: BaseException) -> int | None:
    """The system's error number; Polars and safetensors tell it only in their messages."""
    told = re.search(r"\(os error ([0-9]+)\)", str(error))
    if isinstance(error, OSError) and error.errno:
        return error.errno
    return int(told[1]) if told else None


def is_the_files_fault(error: BaseException) -> bool:
    """Whether the file asks for what cannot be, as a place before its beginning: the system is all right."""
    return number_of(error) in (None, errno.EINVAL)
