"""Settings of Kafka clients that are wrong by default.

Every aiokafka client of Clarion is built from these keyword arguments; what a service adds is its own affair.
A write counts when all in-sync replicas have it; a reader sees committed records only, never commits by itself,
and stops where its position is unknown instead of guessing one.
Clients get no (de)serializers: poison must be decoded, and set aside, by our own code.
"""

from typing import TypedDict

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import UnknownTopicOrPartitionError
from aiokafka.producer import sender

REQUEST_TIMEOUT_MS = 10_000
TRANSACTION_TIMEOUT_MS = 15_000
SESSION_TIMEOUT_MS = 10_000
HEARTBEAT_INTERVAL_MS = 3_000
MAX_POLL_INTERVAL_MS = 60_000
RETRY_BACKOFF_MS = 20
COMMIT_BACKOFF_S = 0.002
MAX_BATCH_BYTES = 1_000_000  # a batch must stay below the topics' max.message.bytes with its header
MAX_REQUEST_BYTES = 4_194_304
FETCH_MAX_WAIT_MS = 100


class ClientSettings(TypedDict):
    """What every client is given."""

    bootstrap_servers: str
    client_id: str
    request_timeout_ms: int
    retry_backoff_ms: int


class ProducerSettings(ClientSettings):
    """What an idempotent producer is given."""

    acks: str
    enable_idempotence: bool
    linger_ms: int
    max_batch_size: int
    max_request_size: int


class TransactionalSettings(ProducerSettings):
    """What a transactional producer is given."""

    transactional_id: str
    transaction_timeout_ms: int


class ConsumerSettings(ClientSettings):
    """What a reader of assigned partitions is given."""

    enable_auto_commit: bool
    auto_offset_reset: str
    isolation_level: str
    fetch_max_wait_ms: int


class MemberSettings(ConsumerSettings):
    """What a static member of a consumer group is given."""

    group_id: str
    group_instance_id: str | None
    session_timeout_ms: int
    heartbeat_interval_ms: int
    max_poll_interval_ms: int
    partition_assignment_strategy: tuple[type[RangePartitionAssignor], ...]


def client_settings(bootstrap: str, client_id: str) -> ClientSettings:
    """Build what every client is given."""
    return {
        "bootstrap_servers": bootstrap,
        "client_id": client_id,
        "request_timeout_ms": REQUEST_TIMEOUT_MS,
        "retry_backoff_ms": RETRY_BACKOFF_MS,
    }


def producer_settings(bootstrap: str, client_id: str) -> ProducerSettings:
    """Build the settings of a producer outside transactions: idempotent, acknowledged by all replicas, at once."""
    return {
        **client_settings(bootstrap, client_id),
        "acks": "all",
        "enable_idempotence": True,
        "linger_ms": 0,
        "max_batch_size": MAX_BATCH_BYTES,
        "max_request_size": MAX_REQUEST_BYTES,
    }


def transactional_settings(bootstrap: str, client_id: str, transactional_id: str) -> TransactionalSettings:
    """Build the settings of a transactional producer; call `shorten_commit_backoff` once in its process."""
    return {
        **producer_settings(bootstrap, client_id),
        "transactional_id": transactional_id,
        "transaction_timeout_ms": TRANSACTION_TIMEOUT_MS,
    }


def consumer_settings(bootstrap: str, client_id: str) -> ConsumerSettings:
    """Build the settings of a reader that assigns and seeks its partitions itself."""
    return {
        **client_settings(bootstrap, client_id),
        "enable_auto_commit": False,
        "auto_offset_reset": "none",
        "isolation_level": "read_committed",
        "fetch_max_wait_ms": FETCH_MAX_WAIT_MS,
    }


def member_settings(bootstrap: str, client_id: str, group_id: str, instance_id: str | None) -> MemberSettings:
    """Build the settings of a group member; with an instance id its restart moves no partitions.

    The range assignor gives one member the same partition numbers of all topics, which co-partitioning needs.
    """
    return {
        **consumer_settings(bootstrap, client_id),
        "group_id": group_id,
        "group_instance_id": instance_id,
        "session_timeout_ms": SESSION_TIMEOUT_MS,
        "heartbeat_interval_ms": HEARTBEAT_INTERVAL_MS,
        "max_poll_interval_ms": MAX_POLL_INTERVAL_MS,
        "partition_assignment_strategy": (RangePartitionAssignor,),
    }


def shorten_commit_backoff() -> None:
    """Let aiokafka ask again after 2 ms instead of 20 while a transaction ends; it costs each commit that long.

    The figure is a constant of the library without a setting, which is why its version is pinned.
    """
    sender.BACKOFF_OVERRIDE = COMMIT_BACKOFF_S


async def partition_numbers(bootstrap: str, topic: str) -> tuple[int, ...]:
    """Ask Kafka which partitions a topic has; raise UnknownTopicOrPartitionError when it is not there."""
    admin = AIOKafkaAdminClient(**client_settings(bootstrap, "clarion-admin"))
    await admin.start()
    try:
        (found,) = await admin.describe_topics([topic])
    finally:
        await admin.close()
    numbers = tuple(sorted(partition["partition"] for partition in found["partitions"]))
    if found["error_code"] or not numbers:
        raise UnknownTopicOrPartitionError(topic)
    return numbers


async def log_identity(bootstrap: str, topic: str) -> tuple[str, int]:
    """Ask Kafka for the id of its cluster and how many partitions a topic has."""
    admin = AIOKafkaAdminClient(**client_settings(bootstrap, "clarion-admin"))
    await admin.start()
    try:
        cluster = (await admin.describe_cluster()).get("cluster_id") or ""
    finally:
        await admin.close()
    return cluster, len(await partition_numbers(bootstrap, topic))
