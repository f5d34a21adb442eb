"""Sends events and changes of customers to the gRPC door.

What concerns one customer goes one after the other, in the order of the lines; different customers go at once, in a
few lanes, each with a bounded number of calls. What the door could not confirm is sent again for a while: the identity
of events makes that harmless. Lines that came are sent at once, so that a stream that trickles is not held back.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Self, TypeVar, cast

import grpc
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from grpc_status import rpc_status
from msgspec import Struct

from clarion.v1 import event_pb2, ingest_pb2, ingest_pb2_grpc
from services.common.identifiers import event_key
from services.control.errors import ClarionError
from services.control.event_lines import CustomerLine, EventLine, Mistake, Mistakes, read_customers, read_events
from services.control.lanes import Batch, spread
from services.control.line_words import as_in_the_line

__all__ = ["Refused", "Report", "publish", "put_customers", "read_customers", "read_events"]

_PORTION = 2_000
_READY_S = 5
_CALL_S = 30
_AGAIN_AFTER_S = (0.2, 0.5, 1, 2, 4, 8)
_COME_AGAIN = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
_UNAVAILABLE = "UNAVAILABLE"

Line = TypeVar("Line")
Item = TypeVar("Item", bound=Message)


class Refused(Struct, frozen=True):
    """A line that was not taken: the reason and every mistake."""

    line: int
    reason: str
    mistakes: Mistakes

    def __str__(self) -> str:
        said = "; ".join(f"{mistake.field} {mistake.message}".strip() for mistake in self.mistakes)
        return f"line {self.line}: {self.reason}: {said}"


class Report(Struct):
    """How it went so far; it grows while lines are sent."""

    taken: int = 0
    refused: list[Refused] = []

    def refuse(self, line: int, mistakes: Mistakes) -> None:
        """Note a line that was not taken."""
        self.refused.append(Refused(line, mistakes[0].reason, mistakes))

    def sorted(self) -> Self:
        """Bring what was refused into the order of the lines."""
        self.refused.sort(key=lambda refused: refused.line)
        return self


async def publish(address: str, events: Iterable[EventLine], report: Report | None = None) -> Report:
    """Publish events; raise ClarionError when the door does not answer. A given report can be watched meanwhile."""
    return await publish_portions(address, _portions(events), report)


async def publish_portions(
    address: str,
    portions: AsyncIterator[Sequence[EventLine]],
    report: Report | None = None,
) -> Report:
    """Publish events that come in portions, each portion at once."""
    report = report or Report()
    async with _channel(address) as channel:
        stub: ingest_pb2_grpc.IngestServiceAsyncStub = ingest_pb2_grpc.IngestServiceStub(channel)

        async def send(batch: Batch[event_pb2.Event]) -> None:
            await _send_events(stub, batch, report)

        await spread(_readable(portions, report), _key_of_event, send)
    return report.sorted()


async def put_customers(address: str, lines: Iterable[CustomerLine], report: Report | None = None) -> Report:
    """Put changes of customers; raise ClarionError when the door does not answer."""
    report = report or Report()
    async with _channel(address) as channel:
        stub: ingest_pb2_grpc.CustomerServiceAsyncStub = ingest_pb2_grpc.CustomerServiceStub(channel)

        async def send(batch: Batch[ingest_pb2.PutCustomerRequest]) -> None:
            for line, request in batch:
                await _send_customer(stub, line, request, report)

        await spread(_readable(_portions(lines), report), _customer_of_request, send)
    return report.sorted()


@asynccontextmanager
async def _channel(address: str) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(address) as channel:
        try:
            await asyncio.wait_for(channel.channel_ready(), _READY_S)
        except TimeoutError:
            raise ClarionError(f"no door answers at {address}: start Clarion with `clarion up`") from None
        yield channel


async def _portions(lines: Iterable[Line]) -> AsyncIterator[Sequence[Line]]:
    portion: list[Line] = []
    for line in lines:
        portion.append(line)
        if len(portion) == _PORTION:
            yield portion
            portion = []
    yield portion


async def _readable(
    portions: AsyncIterator[Sequence[tuple[int, Item | Mistakes]]],
    report: Report,
) -> AsyncIterator[Batch[Item]]:
    """Note the lines that say nothing; hand on the others."""
    async for portion in portions:
        readable: Batch[Item] = []
        for line, item in portion:
            if isinstance(item, tuple):
                report.refuse(line, item)
            else:
                readable.append((line, item))
        yield readable


def _key_of_event(event: event_pb2.Event) -> str:
    """Return under which key an event goes: that of its record, so that what must keep its order does."""
    return event_key(event.tenant, event.audience.customers.ids, event.subject, event.source, event.id).decode()


def _customer_of_request(request: ingest_pb2.PutCustomerRequest) -> str:
    return f"{request.tenant}|{request.customer}"


async def _send_events(
    stub: "ingest_pb2_grpc.IngestServiceAsyncStub",  # known to type checkers only
    batch: Batch[event_pb2.Event],
    report: Report,
) -> None:
    for pause in (*_AGAIN_AFTER_S, None):
        request = ingest_pb2.PublishBatchRequest(events=(event for _, event in batch))
        try:
            results = (await stub.PublishBatch(request, timeout=_CALL_S)).results
        except grpc.aio.AioRpcError as error:
            if error.code() not in _COME_AGAIN:
                raise ClarionError(f"the door refused the call: {error.details()}") from None
            waiting, why = batch, str(error.details())
        else:
            waiting, why = _settle(batch, results, report)
        if not waiting:
            return
        batch = waiting
        if pause is not None:
            await asyncio.sleep(pause)
    for line, _ in batch:
        report.refuse(line, (Mistake(_UNAVAILABLE, "", why),))


def _settle(
    batch: Batch[event_pb2.Event],
    results: Sequence[ingest_pb2.PublishResult],
    report: Report,
) -> tuple[Batch[event_pb2.Event], str]:
    """Note what became of a batch; return what must be sent again, and why."""
    waiting, why = [], ""
    for (line, event), result in zip(batch, results, strict=True):
        if result.WhichOneof("result") == "accepted":
            report.taken += 1
        elif result.refused.reason == _UNAVAILABLE:
            waiting.append((line, event))
            why = result.refused.message
        else:
            refused = result.refused
            mistakes = tuple(
                Mistake(refused.reason, *as_in_the_line(violation.field, violation.description))
                for violation in refused.violations
            )
            report.refuse(line, mistakes or (Mistake(refused.reason, "", refused.message),))
    return waiting, why


async def _send_customer(
    stub: "ingest_pb2_grpc.CustomerServiceAsyncStub",  # known to type checkers only
    line: int,
    request: ingest_pb2.PutCustomerRequest,
    report: Report,
) -> None:
    for pause in (*_AGAIN_AFTER_S, None):
        try:
            await stub.PutCustomer(request, timeout=_CALL_S)
        except grpc.aio.AioRpcError as error:
            if error.code() not in _COME_AGAIN or pause is None:
                report.refuse(line, _mistakes(error))
                return
            await asyncio.sleep(pause)
        else:
            report.taken += 1
            return


def _mistakes(error: grpc.aio.AioRpcError) -> Mistakes:
    """Read the details of a refusal."""
    reason, mistakes = error.code().name, []
    status = rpc_status.from_call(cast("grpc.Call", error))  # it has the three methods that are asked
    for packed in status.details if status else ():
        info, request = ErrorInfo(), BadRequest()
        if packed.Unpack(info):
            reason = info.reason
        elif packed.Unpack(request):
            mistakes += [
                Mistake(violation.reason or reason, *as_in_the_line(violation.field, violation.description))
                for violation in request.field_violations
            ]
    return tuple(mistakes) or (Mistake(reason, "", str(error.details())),)
