"""The error family: a class each, its docstring the message, its status the answer. Knows no framework."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, where it is, and a way out.

    ``param`` is a path as ``architecture.layers[1].units``; the rejected value itself is never repeated.
    """

    param: str
    code: str
    message: str
    hint: str | None = None


class ChainruleError(Exception):
    """The server met an unexpected condition."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    retry_after: ClassVar[int | None] = None
    """Seconds, for what goes away by itself."""

    def __init__(self, detail: str | None = None, *faults: Fault, retry_after: int | None = None) -> None:
        first = next((f"{each.param}: {each.message}".removeprefix(": ") for each in faults), self.title)
        self.detail = detail or first
        self.faults = faults
        again = self.retry_after if retry_after is None else retry_after
        self.headers: dict[str, str] = {} if again is None else {"Retry-After": str(again)}
        self.members: dict[str, object] = {}
        super().__init__(self.detail)

    @property
    def title(self) -> str:
        return (type(self).__doc__ or "").strip().splitlines()[0]

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.detail, *self.faults)


class MalformedRequest(ChainruleError):
    """The request cannot be read."""

    status = 400
    code = "malformed_request"


class UnknownHost(MalformedRequest):
    """This server does not answer to the name in the Host header."""

    code = "unknown_host"


class Unauthenticated(ChainruleError):
    """A valid API key is needed."""

    status = 401
    code = "unauthenticated"

    def __init__(self, detail: str | None = None, *faults: Fault) -> None:
        super().__init__(detail or "Send a valid API key as 'Authorization: Bearer <key>'.", *faults)
        self.headers = {"WWW-Authenticate": "Bearer"}


class Forbidden(ChainruleError):
    """The API key's role is too low for this."""

    status = 403
    code = "role_too_low"


class ReadOnly(Forbidden):
    """Another project shares this: it can be read and trained on, and nothing else."""

    code = "read_only"


class NotFound(ChainruleError):
    """There is no such object."""

    status = 404
    code = "not_found"


class MethodNotAllowed(ChainruleError):
    """This path does not take this method."""

    status = 405
    code = "method_not_allowed"


class RequestTimeout(ChainruleError):
    """The request did not come in time."""

    status = 408
    code = "request_timeout"


class Conflict(ChainruleError):
    """The object's state does not allow this."""

    status = 409
    code = "wrong_state"

    def __init__(self, detail: str | None = None, *faults: Fault, allowed: tuple[str, ...] = ()) -> None:
        super().__init__(detail, *faults)
        self.members = {"allowed": list(allowed)}


class InFlight(ChainruleError):
    """A request with this Idempotency-Key is being answered."""

    status = 409
    code = "request_in_flight"
    retry_after = 1


class ExportDiffers(Conflict):
    """In this format the model does not say what it says here."""

    code = "export_differs"


class LastAdminKey(Conflict):
    """This is the last admin key."""

    code = "last_admin_key"

    def __init__(self) -> None:
        super().__init__(
            "This is the last admin key: nobody could make another over HTTP. Make that first, or have the "
            "operator revoke this one with 'chainrule-server keys revoke'."
        )


class WebhooksDisabled(Conflict):
    """This server sends no webhooks."""

    code = "webhooks_disabled"


class Gone(ChainruleError):
    """What this needs was there once, and has been deleted."""

    status = 410
    code = "gone"


class TooLarge(ChainruleError):
    """The request is larger than this server takes."""

    status = 413
    code = "too_large"


class HeadTooLarge(ChainruleError):
    """The request's headers are larger, or more, than this server takes."""

    status = 431
    code = "headers_too_large"


class UnsupportedMediaType(ChainruleError):
    """The body's Content-Type is not one that this path takes."""

    status = 415
    code = "unsupported_media_type"


class Invalid(ChainruleError):
    """The request is well formed, but something in it is not right."""

    status = 422
    code = "invalid"


class KeyReused(Invalid):
    """This Idempotency-Key belongs to another request."""

    code = "idempotency_key_reused"


class InvalidDataset(Invalid):
    """The file cannot be read as a dataset."""

    code = "invalid_dataset"


class TooManyStreams(ChainruleError):
    """As many streams and waiting requests are open as this server holds."""

    status = 429
    code = "too_many_streams"
    retry_after = 5


class TooManyFailures(ChainruleError):
    """Too many wrong API keys came from this address."""

    status = 429
    code = "too_many_wrong_keys"
    retry_after = 60


class TooManyJobs(ChainruleError):
    """As many jobs of this project wait as may."""

    status = 429
    code = "too_many_jobs"
    retry_after = 5


class TooManyUploads(ChainruleError):
    """As many uploads of this project are under way as may."""

    status = 429
    code = "too_many_uploads"
    retry_after = 5


class RateLimited(ChainruleError):
    """As many requests came within a minute as may."""

    status = 429
    code = "rate_limited"


class QuotaReached(ChainruleError):
    """The project has as much as it may."""

    status = 403
    code = "quota_reached"

    def __init__(
        self, detail: str | None = None, *faults: Fault, quota: str = "", limit: int = 0, used: int = 0
    ) -> None:
        super().__init__(detail, *faults)
        self.members = {"quota": quota, "limit": limit, "used": used}


class DailyQuotaReached(ChainruleError):
    """The project has asked for as much as it may in a day."""

    status = 429
    code = "daily_quota_reached"

    def __init__(
        self,
        detail: str | None = None,
        *faults: Fault,
        quota: str = "",
        limit: int = 0,
        used: int = 0,
        retry_after: int = 86_400,
    ) -> None:
        super().__init__(detail, *faults)
        self.members = {"quota": quota, "limit": limit, "used": used}
        self.headers = {"Retry-After": str(retry_after)}


class Unavailable(ChainruleError):
    """The service cannot answer just now."""

    status = 503
    code = "unavailable"
    retry_after = 1


class DiskFull(ChainruleError):
    """There is not enough room on the server's disk."""

    status = 507
    code = "disk_full"

    def __init__(
        self,
        detail: str | None = None,
        *faults: Fault,
        free_bytes: int | None = None,
        needed_bytes: int | None = None,
    ) -> None:
        if detail is None and free_bytes is not None:
            detail = f"{free_bytes} bytes are free on the server's disk; this needs {needed_bytes}."
        super().__init__(detail, *faults)
        self.members = {"free_bytes": free_bytes, "needed_bytes": needed_bytes}
        self.headers = {"Retry-After": "30"}


class LeaseLost(ChainruleError):
    """The job was claimed by another worker: this one may write nothing more."""

    status = 409
    code = "lease_lost"
