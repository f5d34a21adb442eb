"""Reads topics of Clarion from their beginning to their end, for people and for the auditor.

Only committed records are seen. The end is the high watermark taken when the reading begins: where a transaction is
still open below it, the reading waits for its end, but not longer than its deadline.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError, UnknownTopicOrPartitionError
from google.protobuf.message import DecodeError

from services.common.kafka import consumer_settings, partition_numbers
from services.common.partitions import partition_of
from services.common.processor.ports import Record
from services.common.topics import LANES, Topics
from services.control import codec
from services.control.audit.evidence import Evidence
from services.control.errors import ClarionError
from services.control.records import AcceptedEvent, DecisionRecord, FanOutRecord, FeedbackRecord, Mail
from services.policy.bundle import Bundle
from services.policy.codec import Activation, StoredBundle, parse
from services.policy.compile import compile_policy
from services.router.decision.model import Policy

_T = TypeVar("_T")
_CLIENT = "clarion-reader"
_DEADLINE_S = 20.0


class Log:
    """The topics of one Kafka, for reading; `reading` opens it."""

    def __init__(
        self, bootstrap: str, committed: AIOKafkaConsumer, uncommitted: AIOKafkaConsumer, topics: Topics
    ) -> None:
        self._bootstrap = bootstrap
        self._committed = committed
        self._uncommitted = uncommitted
        self.topics = topics

    async def partitions(self, topic: str) -> tuple[int, ...]:
        """Return the partitions of a topic, in order."""
        try:
            return await partition_numbers(self._bootstrap, topic)
        except UnknownTopicOrPartitionError as error:
            raise ClarionError(f"the topic {topic} is not there: run `clarion topics apply`") from error

    async def records(
        self, topic: str, only: Iterable[int] | None = None, wanted: Callable[[bytes | None], bool] | None = None
    ) -> list[Record]:
        """Read a topic, or some partitions of it, whole; records of one partition are in their order.

        `wanted` says of which keys: the others are not kept.
        """
        numbers = tuple(only) if only is not None else await self.partitions(topic)
        partitions = [TopicPartition(topic, number) for number in numbers]
        self._uncommitted.assign(partitions)
        ends = await self._uncommitted.end_offsets(partitions)
        self._committed.assign(partitions)
        await self._committed.seek_to_beginning(*partitions)
        found: list[Record] = []
        try:
            async with asyncio.timeout(_DEADLINE_S):
                await self._read(ends, found, wanted)
        except TimeoutError as error:
            raise ClarionError(f"a transaction on {topic} does not end; what is behind it can't be read yet") from error
        return found

    async def of_customer(self, topic: str, tenant: str, customer: str) -> list[Record]:
        """Read what a topic says about one customer: his partition, the records with his key."""
        key = f"{tenant}|{customer}".encode()
        number = partition_of(key, len(await self.partitions(topic)))
        return [record for record in await self.records(topic, (number,)) if record.key == key]

    async def _read(
        self,
        ends: Mapping[TopicPartition, int],
        found: list[Record],
        wanted: Callable[[bytes | None], bool] | None,
    ) -> None:
        behind = [each for each in ends if await self._committed.position(each) < ends[each]]
        while behind:
            batches = await self._committed.getmany(*behind, timeout_ms=100)
            for batch in batches.values():
                found += [
                    Record(
                        topic=each.topic,
                        partition=each.partition,
                        offset=each.offset,
                        timestamp=each.timestamp * 1000,
                        key=each.key,
                        value=each.value,
                        headers=tuple(each.headers),
                    )
                    for each in batch
                    if wanted is None or wanted(each.key)
                ]
            behind = [each for each in behind if await self._committed.position(each) < ends[each]]


@asynccontextmanager
async def reading(bootstrap: str, topics: Topics) -> AsyncIterator[Log]:
    """Connect to Kafka for reading."""
    settings = consumer_settings(bootstrap, _CLIENT)
    committed = AIOKafkaConsumer(**settings)
    uncommitted = AIOKafkaConsumer(**{**settings, "isolation_level": "read_uncommitted"})
    try:
        await committed.start()
        await uncommitted.start()
        yield Log(bootstrap, committed, uncommitted, topics)
    except KafkaConnectionError as error:
        raise ClarionError(f"Kafka does not answer at {bootstrap}: start it, or set CLARION_KAFKA_BOOTSTRAP") from error
    finally:
        await committed.stop()
        await uncommitted.stop()


def readable(parse: Callable[[Record], _T], records: Iterable[Record]) -> Iterator[_T]:
    """Parse what can be parsed: what a stranger wrote into a topic is a dead letter, and stops no reader."""
    for record in records:
        with suppress(DecodeError, ValueError):
            yield parse(record)


async def decisions(log: Log, tenant: str, customer: str) -> list[DecisionRecord]:
    """Return all decisions about one customer's events, in order of the log."""
    records = await log.of_customer(log.topics.decisions, tenant, customer)
    return [found for found in readable(codec.decision, records) if found is not None]


async def all_decisions(log: Log) -> list[DecisionRecord]:
    """Return all decisions, in order of the log within each partition."""
    records = await log.records(log.topics.decisions)
    return [found for found in readable(codec.decision, records) if found is not None]


async def fan_outs(log: Log) -> list[FanOutRecord]:
    """Return how far each fan-out is on each partition, and how those ended that have."""
    running: dict[tuple[int, bytes | None], Record] = {}
    # The state first: what ends while this is read is then found at least once.
    for record in await log.records(log.topics.state, wanted=codec.is_report):
        running[record.partition, record.key] = record
    ended = list(readable(codec.fan_out, await log.records(log.topics.decisions, wanted=codec.is_report)))
    known = {(each.fan_out_id, each.partition) for each in ended}
    alive = readable(codec.fan_out, (record for record in running.values() if record.value is not None))
    return ended + [each for each in alive if (each.fan_out_id, each.partition) not in known]


async def feedback(log: Log, tenant: str, customer: str) -> list[FeedbackRecord]:
    """Return what became of one customer's sends, in order of the log."""
    return list(readable(codec.feedback, await log.of_customer(log.topics.feedback, tenant, customer)))


async def accepted(log: Log, tenant: str, customer: str) -> list[AcceptedEvent]:
    """Return the events that were accepted for one customer, in order of the log."""
    records = await log.of_customer(log.topics.events, tenant, customer)
    return [codec.accepted_event(record, tenant) for record in records]


async def customer_zone(log: Log, tenant: str, customer: str) -> str | None:
    """Return the zone of a customer, empty if he named none; None: the customer is not known."""
    records = await log.of_customer(log.topics.profiles, tenant, customer)
    values = [record.value for record in records]
    return codec.profile_timezone(values[-1]) if values and values[-1] is not None else None


async def only_tenant(log: Log) -> str:
    """Return the tenant that has a policy, if it is the only one."""
    records = await log.records(log.topics.policies)
    tenants = sorted({record.key.decode() for record in records if record.key and b"|" not in record.key})
    if len(tenants) == 1:
        return tenants[0]
    found = f"these have a policy: {', '.join(tenants)}" if tenants else "none has a policy yet"
    raise ClarionError(f"say which tenant: --tenant NAME ({found})")


async def evidence(log: Log, mails: Iterable[Mail], default_tenant: str = "") -> Evidence:
    """Read everything that an audit looks at; `mails` are what the providers took."""
    topics = log.topics
    letters = [codec.dead_letter(record) for record in await log.records(topics.dead_letters)]
    sends = [
        send
        for channel in topics.channels
        for lane in LANES
        for send in readable(partial(codec.send, lane=lane), await log.records(topics.sends(channel, lane)))
    ]
    return Evidence(
        events=tuple(codec.accepted_event(record, default_tenant) for record in await log.records(topics.events)),
        dead_letters=frozenset((partition, offset) for topic, partition, offset in letters if topic == topics.events),
        changes=tuple(readable(codec.change, await log.records(topics.changes))),
        decisions=tuple(await all_decisions(log)),
        fan_outs=tuple(await fan_outs(log)),
        sends=tuple(sends),
        feedback=tuple(readable(codec.feedback, await log.records(topics.feedback))),
        mails=tuple(mails),
        policies=await _policies(log),
    )


async def default_zone(log: Log, tenant: str) -> str:
    """Return the zone of customers who named none, by the policy in force; empty when there is none."""
    bundles, activations = await policy_records(log)
    in_force = [each.hash for each in activations if each.tenant == tenant]
    bundle = bundles.get((tenant, in_force[-1])) if in_force else None
    return compile_policy(Bundle.from_files(bundle.files)).defaults.timezone if bundle is not None else ""


async def _policies(log: Log) -> dict[str, Policy]:
    """Return all policies that were ever in force, by hash."""
    bundles, activations = await policy_records(log)
    active = {(each.tenant, each.hash) for each in activations}
    return {key[1]: compile_policy(Bundle.from_files(bundles[key].files)) for key in sorted(active & bundles.keys())}


async def policies_in_force(log: Log) -> dict[str, Policy]:
    """Return the policy in force by tenant."""
    bundles, activations = await policy_records(log)
    active = {each.tenant: bundles.get((each.tenant, each.hash)) for each in activations}
    return {tenant: compile_policy(Bundle.from_files(b.files)) for tenant, b in active.items() if b is not None}


async def policy_records(log: Log) -> tuple[dict[tuple[str, str], StoredBundle], list[Activation]]:
    """Return the bundles by (tenant, hash) and the activations, in order of the log."""
    records = await log.records(log.topics.policies)
    found = list(readable(lambda record: parse(record.key or b"", record.value or b""), records))
    bundles = {(each.tenant, each.hash): each for each in found if isinstance(each, StoredBundle)}
    return bundles, [each for each in found if isinstance(each, Activation)]
