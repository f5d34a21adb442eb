"""The list of topics meets a real Kafka: created, checked, drift named, partition counts kept for life."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from secrets import token_hex
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from confluent_kafka import Producer
from msgspec.structs import replace

from services.common.kafka import consumer_settings
from services.common.partitions import partition_of
from services.common.topics import Topics
from services.control.errors import ClarionError
from services.control.topics import apply, check, connected, create_topics, usual_replication
from tests.support.waiting import wait_until_async


@pytest.fixture
async def listed(kafka: str) -> AsyncIterator[Topics]:
    """A list of topics that do not exist yet."""
    topics = Topics(prefix=f"t{token_hex(4)}-", partitions=4)
    yield topics
    async with connected(kafka) as admin:
        names = {topic["topic"] for topic in await admin.describe_topics()}
        await admin.delete_topics([name for name in names if name.startswith(topics.prefix)])


async def set_configs(bootstrap: str, topic: str, configs: Mapping[str, str]) -> None:
    async with connected(bootstrap) as admin:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=dict(configs))])


def events_configs(topics: Topics) -> dict[str, str]:
    return next(dict(topic.configs) for topic in topics.all() if topic.name == topics.events)


async def drift(bootstrap: str, topics: Topics) -> list[str]:
    return [str(line) for line in await check(bootstrap, topics)]


async def all_missing(bootstrap: str, topics: Topics, names: list[str]) -> bool:
    return {f"{name}: missing" for name in names} <= set(await drift(bootstrap, topics))


async def test_apply_creates_what_is_missing_and_check_agrees(kafka: str, listed: Topics) -> None:
    before = await drift(kafka, listed)
    assert f"{listed.events}: missing" in before
    applied = await apply(kafka, listed)
    assert applied.created == tuple(topic.name for topic in listed.all())
    assert await drift(kafka, listed) == []


async def test_a_second_apply_changes_nothing(kafka: str, listed: Topics) -> None:
    await apply(kafka, listed)
    again = await apply(kafka, listed)
    assert (again.created, again.fixed, again.drift) == ((), (), ())


async def test_a_changed_setting_is_named_and_left_alone_until_it_is_to_be_fixed(kafka: str, listed: Topics) -> None:
    await apply(kafka, listed)
    changed = events_configs(listed) | {"retention.ms": "604800000", "retention.bytes": "1000"}
    await set_configs(kafka, listed.events, changed)
    await wait_until_async(lambda: drift(kafka, listed))
    named = [
        f"{listed.events}: retention.ms is 604800000, should be 1209600000",
        f"{listed.events}: retention.bytes is 1000, should not be set",
    ]
    assert await drift(kafka, listed) == named
    assert [str(line) for line in (await apply(kafka, listed)).drift] == named
    assert await drift(kafka, listed) == named
    fixed = await apply(kafka, listed, fix_configs=True)
    assert ([str(line) for line in fixed.fixed], fixed.drift) == (named, ())
    assert await drift(kafka, listed) == []


async def test_another_partition_count_is_refused_for_life(kafka: str, listed: Topics) -> None:
    await apply(kafka, listed)
    other = replace(listed, partitions=12, channels=("email", "sms"))
    with pytest.raises(ClarionError, match=rf"4 partitions for life \(recorded in {listed.layout}\), 12 were asked"):
        await apply(kafka, other, fix_configs=True)
    assert f"{listed.layout}: recorded partition count is 4, should be 12" in await drift(kafka, other)
    assert f"{other.ledger('sms')}: missing" in await drift(kafka, other)


async def test_the_record_outlives_the_topics(kafka: str, listed: Topics) -> None:
    await apply(kafka, listed)
    async with connected(kafka) as admin:
        gone = [topic.name for topic in listed.all() if topic.name != listed.layout]
        await admin.delete_topics(gone)
    await wait_until_async(lambda: all_missing(kafka, listed, gone))
    with pytest.raises(ClarionError, match=rf"4 partitions for life \(recorded in {listed.layout}\)"):
        await apply(kafka, replace(listed, partitions=8))


async def test_topics_that_exist_are_believed_where_no_record_is(kafka: str, listed: Topics) -> None:
    async with connected(kafka) as admin:
        await create_topics(admin, [topic for topic in listed.all() if topic.name == listed.state])
    with pytest.raises(ClarionError, match="4 partitions for life, 8 were asked"):
        await apply(kafka, replace(listed, partitions=8))
    assert f"{listed.events}: missing" in await drift(kafka, listed)


async def test_a_new_channel_joins_with_the_recorded_count(kafka: str, listed: Topics) -> None:
    await apply(kafka, listed)
    more = replace(listed, channels=("email", "sms"))
    assert (await apply(kafka, more)).created == (
        *(more.sends("sms", lane) for lane in ("urgent", "normal", "bulk")),
        more.ledger("sms"),
    )
    assert await drift(kafka, more) == []


async def test_one_broker_gives_one_replica(kafka: str, listed: Topics) -> None:
    assert await usual_replication(kafka, listed) == 1


async def test_no_kafka_is_said_in_one_line() -> None:
    with pytest.raises(ClarionError, match=r"^no Kafka answers at 127.0.0.1:1: start one with `clarion kafka start`$"):
        await check("127.0.0.1:1", Topics())


async def test_our_partition_is_where_librdkafkas_murmur2_writes(kafka: str, topics: Topics) -> None:
    keys = [f"northwind|customer-{number}".encode() for number in range(200)] + [b"", b"\xff" * 7, "münchen|ä".encode()]
    producer = Producer({"bootstrap.servers": kafka, "partitioner": "murmur2_random", "acks": "all"})
    for key in keys[:200] + keys[201:]:
        producer.produce(topics.events, b"", key=key)
    assert producer.flush(30) == 0
    found = await keys_by_partition(kafka, topics)
    assert sum(len(there) for there in found.values()) == 202
    assert all(partition_of(key, topics.partitions) == number for number, there in found.items() for key in there)
    assert all(found.values())


async def keys_by_partition(bootstrap: str, topics: Topics) -> dict[int, list[bytes]]:
    found: dict[int, list[bytes]] = {}
    async with AIOKafkaConsumer(**consumer_settings(bootstrap, "test")) as consumer:
        for number in range(topics.partitions):
            partition = TopicPartition(topics.events, number)
            consumer.assign([partition])
            end = (await consumer.end_offsets([partition]))[partition]
            consumer.seek(partition, 0)
            found[number] = [(await consumer.getone()).key for _ in range(end)]
    return found


def clarion(bootstrap: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "services.control", "topics", *arguments, "--bootstrap", bootstrap]
    return subprocess.run(command, capture_output=True, text=True, check=False)


async def test_the_command_answers_with_facts_and_exit_codes(
    kafka: str, listed: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLARION_TOPIC_PREFIX", listed.prefix)
    four = ("--partitions", "4")
    assert clarion(kafka, "check", *four).returncode == 1
    applied = clarion(kafka, "apply", *four, "--json")
    facts: dict[str, Any] = json.loads(applied.stdout)
    assert (applied.returncode, len(facts["created"]), facts["drift"]) == (0, len(listed.all()), [])
    checked = clarion(kafka, "check", *four)
    assert (checked.returncode, checked.stdout) == (0, f"{len(listed.all())} topics, 0 differences\n")
    refused = clarion(kafka, "apply", "--partitions", "12")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("clarion: co-partitioned topics have 4 partitions for life")
    assert refused.stderr.count("\n") == 1
