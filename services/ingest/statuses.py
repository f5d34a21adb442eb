"""Refusals as gRPC says them: a status with `google.rpc` details that programs can read.

ErrorInfo carries the reason, BadRequest the fields, RetryInfo when it makes sense to come again. gRPC sends details in
a header with a small limit, so they are cut before they get there; the first violations are the weightiest.
"""

from collections.abc import Iterable
from typing import NoReturn

import grpc
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from clarion.v1 import ingest_pb2
from services.ingest.check import Reason, Refused, Violation

DOMAIN = "clarion"
DETAILS_KEY = "grpc-status-details-bin"

_MAX_DETAILS_BYTES = 4_096
_MAX_DESCRIPTION = 300
_RETRY_AFTER_S = 1

_CODES = {
    Reason.NO_POLICY: grpc.StatusCode.FAILED_PRECONDITION,
    Reason.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
}


async def abort(context: grpc.aio.ServicerContext[Message, Message], refused: Refused) -> NoReturn:
    """End a call with a refusal."""
    code = _CODES.get(refused.reason, grpc.StatusCode.INVALID_ARGUMENT)
    status = Status(code=code.value[0], message=_cut(refused.message), details=map(_pack, _details(refused)))
    await context.abort(code, status.message, ((DETAILS_KEY, status.SerializeToString()),))


def refusal(refused: Refused) -> ingest_pb2.Refusal:
    """Return a refusal as one result of a batch."""
    return ingest_pb2.Refusal(
        reason=refused.reason,
        message=_cut(refused.message),
        violations=(
            ingest_pb2.FieldViolation(field=_cut(violation.field), description=_cut(violation.description))
            for violation in _few(refused.violations)
        ),
    )


def _details(refused: Refused) -> Iterable[Message]:
    yield ErrorInfo(reason=refused.reason, domain=DOMAIN)
    if refused.violations:
        yield BadRequest(
            field_violations=(
                BadRequest.FieldViolation(
                    field=_cut(violation.field),
                    description=_cut(violation.description),
                    reason=violation.reason,
                )
                for violation in _few(refused.violations)
            ),
        )
    if refused.reason is Reason.UNAVAILABLE:
        yield RetryInfo(retry_delay=Duration(seconds=_RETRY_AFTER_S))


def _few(violations: Iterable[Violation]) -> Iterable[Violation]:
    room = _MAX_DETAILS_BYTES
    for violation in violations:
        room -= len(_cut(violation.field).encode()) + len(_cut(violation.description).encode()) + len(violation.reason)
        if room < 0:
            return
        yield violation


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_DESCRIPTION else f"{text[: _MAX_DESCRIPTION - 1]}…"


def _pack(message: Message) -> Packed:
    packed = Packed()
    packed.Pack(message)
    return packed
