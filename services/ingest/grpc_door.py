"""The gRPC door: takes events and changes of customers, answers when Kafka has them.

Requests arrive as bytes and are decoded here, so that bytes which are no message get an answer in words like any other
mistake. Each method gathers, checks (a plain call), writes, answers. Nothing is logged for an event.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from clarion.v1 import ingest_pb2
from services.common.clock import Clock
from services.common.identifiers import trace_context
from services.common.topics import Topics
from services.ingest import codec
from services.ingest.check import PolicyOf, Reason, Refused, Taken, Violation, check_event, refused
from services.ingest.check_customer import check_customer
from services.ingest.metrics import Method, Metrics, Result
from services.ingest.statuses import abort, refusal
from services.ingest.writer import Position, Writer

DOOR = "grpc"
SERVICES = ("clarion.v1.IngestService", "clarion.v1.CustomerService")
MAX_BATCH_EVENTS = 1_000

_PORTION = 100  # events of a batch that are checked before other calls get a turn
_UNCONFIRMED = Refused(
    Reason.UNAVAILABLE,
    "Kafka did not confirm in time; send it again, what was written after all will be recognised",
)

Context = grpc.aio.ServicerContext[Any, Any]
Decoded = TypeVar("Decoded", bound=Message)


class GrpcDoor:
    """The methods of both services."""

    def __init__(
        self,
        writer: Writer,
        topics: Topics,
        policy_of: PolicyOf,
        default_tenant: str,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._writer = writer
        self._topics = topics
        self._policy_of = policy_of
        self._default_tenant = default_tenant
        self._clock = clock
        self._metrics = metrics

    def handlers(self) -> tuple[grpc.GenericRpcHandler, ...]:
        """Return the methods as a server wants them."""
        ingest, customers = SERVICES
        return (
            grpc.method_handlers_generic_handler(
                ingest,
                {"Publish": _unary(self.publish), "PublishBatch": _unary(self.publish_batch)},
            ),
            grpc.method_handlers_generic_handler(customers, {"PutCustomer": _unary(self.put_customer)}),
        )

    async def publish(self, request: bytes, context: Context) -> ingest_pb2.PublishResponse:
        """Take one event."""
        with self._metrics.seconds[Method.PUBLISH].time():
            message = await _decode(ingest_pb2.PublishRequest, request, context)
            verdict = check_event(message.event, self._policy_of, self._default_tenant)
            answer = (await self._take([verdict], context))[0]
            if isinstance(answer, Refused):
                await abort(context, answer)
            return ingest_pb2.PublishResponse(partition=answer.partition, offset=answer.offset)

    async def publish_batch(self, request: bytes, context: Context) -> ingest_pb2.PublishBatchResponse:
        """Take many events; each has its own result."""
        with self._metrics.seconds[Method.PUBLISH_BATCH].time():
            message = await _decode(ingest_pb2.PublishBatchRequest, request, context)
            if len(message.events) > MAX_BATCH_EVENTS:
                description = f"has {len(message.events)} events; the limit is {MAX_BATCH_EVENTS}"
                await abort(context, refused([Violation("events", description, Reason.TOO_LARGE)]))
            verdicts: list[Taken | Refused] = []
            for place, event in enumerate(message.events):
                if place % _PORTION == _PORTION - 1 or event.audience.select:  # a selector takes milliseconds
                    await asyncio.sleep(0)
                verdicts.append(check_event(event, self._policy_of, self._default_tenant))
            return ingest_pb2.PublishBatchResponse(results=map(_result, await self._take(verdicts, context)))

    async def put_customer(self, request: bytes, context: Context) -> ingest_pb2.PutCustomerResponse:
        """Take a change of one customer."""
        with self._metrics.seconds[Method.PUT_CUSTOMER].time():
            message = await _decode(ingest_pb2.PutCustomerRequest, request, context)
            tenant = message.tenant or self._default_tenant
            wrong = check_customer(tenant, message.customer, message.merge_patch)
            if wrong is not None:
                self._metrics.refused[wrong.reason].inc()
                self._metrics.customers[Result.REFUSED].inc()
                await abort(context, wrong)
            now = self._clock.now()
            record = codec.change_record(tenant, message.customer, message.merge_patch, DOOR, now)
            position = (await self._writer.write(self._topics.changes, [record]))[0]
            if position is None:
                self._metrics.customers[Result.UNAVAILABLE].inc()
                await abort(context, _UNCONFIRMED)
            self._metrics.customers[Result.ACCEPTED].inc()
            return ingest_pb2.PutCustomerResponse(partition=position.partition, offset=position.offset)

    async def _take(self, verdicts: list[Taken | Refused], context: Context) -> list[Position | Refused]:
        """Write the events that may come in; answer for each, in order."""
        sent_trace = _sent_trace(context)
        prepared = [_prepare(verdict, sent_trace) for verdict in verdicts]
        records = [record for record in prepared if isinstance(record, codec.Record)]
        written = iter(await self._writer.write(self._topics.events, records) if records else ())
        answers = [record if isinstance(record, Refused) else next(written) or _UNCONFIRMED for record in prepared]
        for answer in answers:
            self._count(answer)
        return answers

    def _count(self, answer: Position | Refused) -> None:
        if isinstance(answer, Position):
            self._metrics.events[Result.ACCEPTED].inc()
        elif answer.reason is Reason.UNAVAILABLE:
            self._metrics.events[Result.UNAVAILABLE].inc()
        else:
            self._metrics.events[Result.REFUSED].inc()
            self._metrics.refused[answer.reason].inc()


def _unary(method: Callable[[bytes, Context], Awaitable[Message]]) -> "grpc.RpcMethodHandler[bytes, Message]":
    return grpc.unary_unary_rpc_method_handler(method, response_serializer=lambda answer: answer.SerializeToString())


async def _decode(kind: type[Decoded], request: bytes, context: Context) -> Decoded:
    try:
        return kind.FromString(request)
    except DecodeError:
        description = f"is not a {kind.DESCRIPTOR.full_name}"
        await abort(context, refused([Violation("request", description, Reason.INVALID_EVENT)]))


def _prepare(verdict: Taken | Refused, sent_trace: str) -> codec.Record | Refused:
    if isinstance(verdict, Refused):
        return verdict
    trace = trace_context(verdict.event.traceparent, sent_trace)
    return codec.fit(codec.event_record(verdict, trace, DOOR))


def _sent_trace(context: Context) -> str:
    for name, value in context.invocation_metadata() or ():
        if name == "traceparent" and isinstance(value, str):
            return value
    return ""


def _result(answer: Position | Refused) -> ingest_pb2.PublishResult:
    if isinstance(answer, Refused):
        return ingest_pb2.PublishResult(refused=refusal(answer))
    taken = ingest_pb2.PublishResponse(partition=answer.partition, offset=answer.offset)
    return ingest_pb2.PublishResult(accepted=taken)
