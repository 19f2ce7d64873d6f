"""What schemathesis need not mind, each with its reason."""

import schemathesis
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.openapi.checks import (
    AllowHeaderMismatch,
    RejectedPositiveData,
    UnsupportedMethodResponse,
    UseAfterFree,
)

# The clients of these expect 404 of a method that a path does not have.
WITHOUT_405 = ("/chat", "/sessions", "/api/v1/tickets", "/tickets")

# DELETE of these is DELETE of `/runs/{runId}`, with a run of that name.
OVERLAPPED = {f"/api/agents/{{agentId}}/runs/{name}" for name in ("status", "stream", "background")}

# DELETE cancels a run or a job, which can be asked for from then on; the runs of a session that is
# forgotten stay.
STAYS = {"runs", "jobs"}

# What a model takes and answers, what a tool makes of it, where an address leads to, what was said
# before in a session, and what a JSON Schema is, is in nobody's schema.
DEPENDS = (
    b"The output schema is invalid",
    b"Structured output was requested",
    b"model does not accept",
    b"model does not support",
    b"the sum is too large",
    b'"field":"media[',
    b"holds no new message",
)


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Whether a failure counts."""
    path = case.operation.path
    said = response.content or b""
    if isinstance(failure, UnsupportedMethodResponse):
        return not path.startswith(WITHOUT_405)
    if isinstance(failure, AllowHeaderMismatch):
        return path not in OVERLAPPED
    if isinstance(failure, UseAfterFree):
        return STAYS.isdisjoint(path.split("/"))
    if isinstance(failure, RejectedPositiveData):
        return not any(reason in said for reason in DEPENDS)
    if isinstance(failure, AcceptedNegativeData):
        # A value that is too long makes the path too long. A stream tells of an item that is none
        # in an event, as its clients expect.
        is_told = response.status_code == 200 and b'"code":"VALIDATION_FAILED"' in said
        return response.status_code != 414 and not is_told
    return True
