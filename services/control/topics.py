"""Brings the list of topics to a Kafka, and says where a Kafka differs from it.

What is missing is created. What differs is named and left alone, unless its settings are to be fixed.
Partition counts are never changed: customers would move away from their state. The count that co-partitioned topics
have for life is a record in the topic `clarion.layout.v1`, written by the first apply; another count is refused.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code
from msgspec import Struct

from services.common.kafka import client_settings, consumer_settings, producer_settings
from services.common.topics import Topic, Topics
from services.control.broker.ready import known_brokers, known_topics
from services.control.errors import ClarionError

LAYOUT_KEY = b"layout"

_CLIENT_ID = "clarion-topics"
_SET_ON_THE_TOPIC = 1  # config_source DYNAMIC_TOPIC_CONFIG
_USUAL_REPLICATION = 3
_ASK_AGAIN_S = 0.05
_SETTLE_DEADLINE_S = 15.0


class Drift(Struct, frozen=True):
    """One difference between the list and a Kafka; `actual` or `wanted` is absent where there is no such setting."""

    topic: str
    setting: str
    actual: str | None
    wanted: str | None

    def __str__(self) -> str:
        """Say it in one line."""
        if self.setting == "topic":
            return f"{self.topic}: missing"
        actual = f"is {self.actual}" if self.actual is not None else "is not set"
        wanted = f"should be {self.wanted}" if self.wanted is not None else "should not be set"
        return f"{self.topic}: {self.setting} {actual}, {wanted}"


class Found(Struct, frozen=True):
    """A topic as it is in Kafka."""

    partitions: int
    replication: int
    configs: Mapping[str, str]
    overrides: frozenset[str]


class Applied(Struct, frozen=True):
    """What an apply did, and what it left."""

    created: tuple[str, ...]
    fixed: tuple[Drift, ...]
    drift: tuple[Drift, ...]


async def check(bootstrap: str, topics: Topics) -> tuple[Drift, ...]:
    """Name every difference between the list and a Kafka; change nothing."""
    async with connected(bootstrap) as admin:
        found = await _describe(admin, topics.all())
        recorded = await _recorded_partitions(bootstrap, topics) if topics.layout in found else None
    drift = [line for topic in topics.all() for line in compare(topic, found.get(topic.name))]
    if recorded != topics.partitions:
        recorded_text = None if recorded is None else str(recorded)
        drift.append(Drift(topics.layout, "recorded partition count", recorded_text, str(topics.partitions)))
    return tuple(drift)


async def apply(bootstrap: str, topics: Topics, *, fix_configs: bool = False) -> Applied:
    """Create what is missing; with `fix_configs` set what differs, else only name it."""
    async with connected(bootstrap) as admin:
        found = await _describe(admin, topics.all())
        await _settle_layout(bootstrap, admin, topics, found)
        missing = [topic for topic in topics.all() if topic.name not in found]
        await create_topics(admin, [topic for topic in missing if topic.name != topics.layout])
        existing = [topic for topic in topics.all() if topic.name in found]
        drift = [line for topic in existing for line in compare(topic, found[topic.name])]
        fixed = [line for line in drift if fix_configs and line.setting not in {"partitions", "replication"}]
        names = {line.topic for line in fixed}
        await _set_configs(admin, [topic for topic in existing if topic.name in names])
    return Applied(
        created=tuple(topic.name for topic in missing),
        fixed=tuple(fixed),
        drift=tuple(line for line in drift if line not in fixed),
    )


def compare(wanted: Topic, found: Found | None) -> tuple[Drift, ...]:
    """Name the differences of one topic."""
    if found is None:
        return (Drift(wanted.name, "topic", None, "present"),)
    counts = (
        ("partitions", found.partitions, wanted.partitions),
        ("replication", found.replication, wanted.replication),
    )
    differing = (Drift(wanted.name, name, str(is_), str(should)) for name, is_, should in counts if is_ != should)
    return (*differing, *_config_drift(wanted, found))


def _config_drift(wanted: Topic, found: Found) -> tuple[Drift, ...]:
    settings = ((name, found.configs.get(name), value) for name, value in wanted.configs.items())
    surplus = sorted(found.overrides - wanted.configs.keys())
    return (
        *(Drift(wanted.name, name, is_, should) for name, is_, should in settings if is_ != should),
        *(Drift(wanted.name, name, found.configs.get(name), None) for name in surplus),
    )


async def usual_replication(bootstrap: str, topics: Topics) -> int:
    """Say how many replicas topics of this Kafka have: as those that exist, else three if there are brokers enough."""
    async with connected(bootstrap) as admin:
        found = await _describe(admin, topics.all())
        brokers = (await admin.describe_cluster())["brokers"]
    existing = [topic.replication for topic in found.values()]
    return max(existing) if existing else min(_USUAL_REPLICATION, len(brokers))


@asynccontextmanager
async def connected(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """Give an admin client of a Kafka that answers, or say that none does."""
    if not [address for address in bootstrap.split(",") if await known_brokers(address)]:
        raise ClarionError(f"no Kafka answers at {bootstrap}: start one with `clarion kafka start`")
    admin = AIOKafkaAdminClient(**client_settings(bootstrap, _CLIENT_ID))
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def create_topics(admin: AIOKafkaAdminClient, wanted: Sequence[Topic]) -> None:
    """Create topics in one call, and return when every broker knows them."""
    if not wanted:
        return
    answer: Any = await admin.create_topics(
        [
            NewTopic(topic.name, topic.partitions, topic.replication, topic_configs=dict(topic.configs))
            for topic in wanted
        ]
    )
    _refuse_errors((name, code, text) for name, code, text in answer.topic_errors)
    names = {topic.name for topic in wanted}
    for broker in (await admin.describe_cluster())["brokers"]:
        address = f"{broker['host']}:{broker['port']}"
        await _until(partial(_knows, address, names), f"{address} to know the new topics")


async def _knows(address: str, names: set[str]) -> bool:
    return names <= await known_topics(address)


async def _until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    try:
        async with asyncio.timeout(_SETTLE_DEADLINE_S):
            while not await condition():  # noqa: ASYNC110  # Kafka tells nobody when it has settled
                await asyncio.sleep(_ASK_AGAIN_S)
    except TimeoutError as error:
        raise ClarionError(f"waited {_SETTLE_DEADLINE_S:.0f} s for {what}") from error


async def _describe(admin: AIOKafkaAdminClient, wanted: Sequence[Topic]) -> dict[str, Found]:
    # All topics are asked for, not ours by name: naming an absent topic creates it where Kafka does so by itself.
    names = {topic.name for topic in wanted}
    described = {topic["topic"]: topic for topic in await admin.describe_topics() if topic["topic"] in names}
    if not described:
        return {}
    answers: list[Any] = await admin.describe_configs(
        [ConfigResource(ConfigResourceType.TOPIC, name) for name in described]
    )
    found = {}
    for code, text, _, name, entries in (resource for answer in answers for resource in answer.resources):
        _refuse_errors([(name, code, text)])
        partitions = described[name]["partitions"]
        found[name] = Found(
            partitions=len(partitions),
            replication=max(len(partition["replicas"]) for partition in partitions),
            configs={entry[0]: entry[1] for entry in entries},
            overrides=frozenset(entry[0] for entry in entries if entry[3] == _SET_ON_THE_TOPIC),
        )
    return found


async def _settle_layout(
    bootstrap: str, admin: AIOKafkaAdminClient, topics: Topics, found: Mapping[str, Found]
) -> None:
    if topics.layout not in found:
        await create_topics(admin, [topic for topic in topics.all() if topic.name == topics.layout])
    recorded = await _recorded_partitions(bootstrap, topics)
    existing = {found[topic.name].partitions for topic in topics.all() if topic.co_partitioned and topic.name in found}
    for count in {recorded or topics.partitions, *existing} - {topics.partitions}:
        raise ClarionError(
            f"co-partitioned topics have {count} partitions for life"
            f"{f' (recorded in {topics.layout})' if count == recorded else ''}, {topics.partitions} were asked for: "
            f"set CLARION_PARTITIONS={count}, or start anew under another CLARION_TOPIC_PREFIX"
        )
    if recorded is None:
        await _record_partitions(bootstrap, topics)


async def _recorded_partitions(bootstrap: str, topics: Topics) -> int | None:
    partition = TopicPartition(topics.layout, 0)
    recorded = None
    async with AIOKafkaConsumer(**consumer_settings(bootstrap, _CLIENT_ID)) as consumer:
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        await consumer.seek_to_beginning(partition)
        while await consumer.position(partition) < end:
            record = await consumer.getone()
            if record.key == LAYOUT_KEY and record.value:
                recorded = int(json.loads(record.value)["partitions"])
    return recorded


async def _record_partitions(bootstrap: str, topics: Topics) -> None:
    value = json.dumps({"partitions": topics.partitions}).encode()
    async with AIOKafkaProducer(**producer_settings(bootstrap, _CLIENT_ID)) as producer:
        await producer.send_and_wait(topics.layout, value, key=LAYOUT_KEY, partition=0)


async def _set_configs(admin: AIOKafkaAdminClient, wanted: Sequence[Topic]) -> None:
    # The call replaces all settings of a topic: the full set is sent, and what the list does not have goes.
    if not wanted:
        return
    answers: list[Any] = await admin.alter_configs(
        [ConfigResource(ConfigResourceType.TOPIC, topic.name, configs=dict(topic.configs)) for topic in wanted]
    )
    _refuse_errors((name, code, text) for answer in answers for code, text, _, name in answer.resources)
    await _until(lambda: _has_configs(admin, wanted), "the new settings to be in force")


async def _has_configs(admin: AIOKafkaAdminClient, wanted: Sequence[Topic]) -> bool:
    found = await _describe(admin, wanted)
    return not any(_config_drift(topic, found[topic.name]) for topic in wanted)


def _refuse_errors(results: Iterable[tuple[str, int, str | None]]) -> None:
    for name, code, text in results:
        if code:
            raise ClarionError(f"{name}: Kafka refused: {text or for_code(code).__name__}")
