"""Fan-outs as values and on the wire: what a partition works off, how far it is, what it reports.

The record of a fan-out is written once and never changes; how far it is stands in another, small one. That one is at
the same time what people read (`clarion fanout`): while it runs in the changelog, at its end among the decisions.
"""

from collections.abc import Mapping
from enum import IntEnum

from google.protobuf.message import DecodeError
from msgspec import Struct

from clarion.v1 import fanout_pb2
from services.common import strict_json
from services.common.processor.ports import Record
from services.router.codec import PoisonError
from services.router.decision.model import Event, Lifecycle, Outcome, Reason, Severity
from services.router.records import event_message

REPORT_KEY = b"@fanout"

Counts = Mapping[tuple[Outcome, Reason], int]


class Stage(IntEnum):
    """How far a fan-out is; numbers of `clarion.v1.FanOutState`."""

    WAITING = 1
    RUNNING = 2
    PAUSED = 3
    FINISHED = 4
    ABORTED = 5


class FanOut(Struct, frozen=True, gc=False):
    """An event for many, as this partition got it: `offset` is its place in the order of fan-outs."""

    offset: int
    id: bytes
    event: Event
    first_seen: int
    partitions: int


class Progress(Struct, frozen=True, gc=False):
    """How far a fan-out is. `cursor` is the last customer looked at; `pending` are those behind him, when counted last.

    `counts` are first revisions by outcome and reason. `at_least`: more are pending than were counted.
    """

    stage: Stage = Stage.WAITING
    started: int = 0
    updated: int = 0
    judged: int = 0
    pending: int = 0
    at_least: bool = False
    counts: Counts = {}
    failed: int = 0
    cursor: str = ""
    bulk: bool = False
    detail: str = ""


def encode(id: bytes, event: Event, first_seen: int, partitions: int) -> bytes:
    """Return a fan-out as the value of a record of `clarion.fanouts.v1`."""
    return fanout_pb2.FanOut(
        fan_out_id=id,
        event=event_message(event),
        content_hash=event.content_hash,
        first_seen_us=first_seen,
        accept_time_us=event.accepted,
        door=event.door,
        partitions=partitions,
    ).SerializeToString()


def decode(record: Record) -> FanOut:
    """Read a fan-out; raise PoisonError when it is none."""
    return parse(record.offset, record.value or b"")


def parse(offset: int, value: bytes) -> FanOut:
    """Read the value of a fan-out's record; raise PoisonError when it is none."""
    message = fanout_pb2.FanOut()
    try:
        message.ParseFromString(value)
        event = _event(message)
    except (DecodeError, ValueError) as error:
        raise PoisonError("not a FanOut") from error
    return FanOut(offset, message.fan_out_id, event, message.first_seen_us, message.partitions)


def _event(message: fanout_pb2.FanOut) -> Event:
    wire = message.event
    data = strict_json.parse(wire.data)
    whom = wire.audience.WhichOneof("kind")
    if not isinstance(data, dict) or whom is None:
        raise ValueError("an event has data and an audience")
    return Event(
        tenant=wire.tenant,
        source=wire.source,
        id=wire.id,
        type=wire.type,
        subject=wire.subject,
        time=wire.time.ToMicroseconds(),
        lifecycle=Lifecycle(wire.lifecycle),
        sequence=wire.sequence if wire.HasField("sequence") else None,
        severity=Severity(wire.severity),
        expiry=wire.expire_time.ToMicroseconds() if wire.HasField("expire_time") else None,
        customers=tuple(wire.audience.customers.ids),
        data=data,
        content_hash=message.content_hash,
        accepted=message.accept_time_us,
        traceparent=wire.traceparent,
        door=message.door,
        select=wire.audience.select,
        everyone=wire.audience.everyone,
    )


def report(fan: FanOut, progress: Progress, partition: int, finished: int = 0) -> bytes:
    """Return how far a fan-out is, as people and this router's successor read it."""
    event = fan.event
    message = fanout_pb2.FanOutReport(
        fan_out_id=fan.id,
        tenant=event.tenant,
        source=event.source,
        event_id=event.id,
        event_type=event.type,
        subject=event.subject,
        audience=_in_words(event),
        partition=partition,
        partitions=fan.partitions,
        state=int(progress.stage),  # type: ignore[arg-type]
        first_seen_us=fan.first_seen,
        start_time_us=progress.started,
        update_time_us=progress.updated,
        finish_time_us=finished,
        judged=progress.judged,
        pending=progress.pending,
        pending_at_least=progress.at_least,
        failed=progress.failed,
        cursor=progress.cursor,
        bulk=progress.bulk,
        detail=progress.detail,
    )
    for (outcome, reason), count in sorted(progress.counts.items()):
        message.counts.add(outcome=int(outcome), reason=int(reason), count=count)
    return message.SerializeToString()


def progress_of(value: bytes) -> Progress:
    """Read back what `report` wrote."""
    wire = fanout_pb2.FanOutReport.FromString(value)
    return Progress(
        stage=Stage(wire.state),
        started=wire.start_time_us,
        updated=wire.update_time_us,
        judged=wire.judged,
        pending=wire.pending,
        at_least=wire.pending_at_least,
        counts={(Outcome(each.outcome), Reason(each.reason)): each.count for each in wire.counts},
        failed=wire.failed,
        cursor=wire.cursor,
        bulk=wire.bulk,
        detail=wire.detail,
    )


def _in_words(event: Event) -> str:
    if event.everyone:
        return "everyone"
    return event.select or f"{len(event.customers)} named"
