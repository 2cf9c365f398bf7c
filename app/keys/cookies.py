"""The cookie of a browser that reads the documentation. It opens those pages, and is no API key.

It is made of a key and says which, but not its secret; it ends with its key, and after half a day.
"""

import hashlib
import hmac
import time

LASTS_SECONDS = 12 * 3600


def make(key_id: str, secret_sha256: str) -> str:
    """A cookie's value for whoever has that key."""
    return _signed(f"{key_id}.{int(time.time()) + LASTS_SECONDS}", secret_sha256)


def key_of(value: str) -> str | None:
    """Id of the key that it says it is made of; None when it has ended, or is none of ours."""
    key_id, _, rest = value.partition(".")
    end = rest.partition(".")[0]
    known = value.isascii() and end.isdigit() and len(end) < 16
    return key_id if known and int(end) > time.time() else None


def is_of(value: str, secret_sha256: str) -> bool:
    """Whether it is made of the key with that digest."""
    return hmac.compare_digest(value, _signed(value.rpartition(".")[0], secret_sha256))


def _signed(said: str, secret_sha256: str) -> str:
    code = hmac.new(bytes.fromhex(secret_sha256), f"documentation {said}".encode(), hashlib.sha256)
    return f"{said}.{code.hexdigest()}"
