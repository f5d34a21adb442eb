"""The dead letter of a record that a service can't use: whole, as long as it is not huge.

Key, value and headers (with their names) share one budget, so that a dead letter always fits into a record.
"""

from clarion.v1 import control_pb2
from services.common.processor.ports import Record

BUDGET_BYTES = 131_072
KEY_BYTES = 1_024


def dead_letter(record: Record, service: str, reason: str, detail: str, now: int) -> bytes:
    """Return the value of the dead letter; `truncated` says that something did not fit, `now` is in microseconds."""
    key, value = record.key or b"", record.value or b""
    message = control_pb2.DeadLetter(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        reason=reason,
        detail=detail,
        key=short_key(key),
        time_us=now,
        service=service,
    )
    left = BUDGET_BYTES - len(message.key)
    message.value = value[:left]
    left -= len(message.value)
    message.truncated = len(key) > KEY_BYTES or len(value) > len(message.value)
    for name, header in record.headers:
        # Each header costs a few bytes of framing besides its name and value.
        left -= len(name.encode()) + len(header or b"") + 16
        if left < 0:
            message.truncated = True
            break
        message.headers.add(name=name, value=header or b"")
    return message.SerializeToString()


def short_key(key: bytes | None) -> bytes:
    """Return a key as a dead letter's record has it."""
    return (key or b"")[:KEY_BYTES]
