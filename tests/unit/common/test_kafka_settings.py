"""The settings are those that the guarantees need, on live clients too."""

from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.producer import sender

from services.common import kafka
from services.common.topics import MAX_MESSAGE_BYTES


async def test_a_transactional_producer_waits_for_all_replicas_and_outlives_its_requests() -> None:
    producer: Any = AIOKafkaProducer(**kafka.transactional_settings("127.0.0.1:1", "test", "t-0"))
    await producer.stop()
    assert producer._sender._acks == -1
    assert producer._txn_manager.transactional_id == "t-0"
    assert producer._txn_manager.transaction_timeout_ms == 15_000 >= producer._request_timeout_ms == 10_000
    assert producer._sender._message_accumulator._batch_size == kafka.MAX_BATCH_BYTES


async def test_a_member_reads_committed_and_commits_nothing_by_itself() -> None:
    consumer: Any = AIOKafkaConsumer(**kafka.member_settings("127.0.0.1:1", "test", "group", "one"))
    await consumer.stop()
    assert consumer._enable_auto_commit is False
    assert consumer._isolation_level == "read_committed"
    assert consumer._auto_offset_reset == "none"
    assert consumer._key_deserializer is None
    assert consumer._value_deserializer is None
    assert consumer._partition_assignment_strategy == (RangePartitionAssignor,)
    assert (consumer._session_timeout_ms, consumer._max_poll_interval_ms) == (10_000, 60_000)
    assert consumer._group_instance_id == "one"


def test_a_full_batch_fits_into_the_topics() -> None:
    assert kafka.MAX_BATCH_BYTES + 1024 < MAX_MESSAGE_BYTES


def test_commits_are_polled_every_two_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "BACKOFF_OVERRIDE", 0.02)
    kafka.shorten_commit_backoff()
    assert sender.BACKOFF_OVERRIDE == 0.002
