"""What a broker knows, asked by a metadata call: an open port is not enough to call it ready."""

import asyncio
from collections.abc import Callable
from typing import Any

from aiokafka.conn import create_conn
from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest

_ASK_AGAIN_S = 0.05
_TIMEOUT_MS = 5_000


async def known_brokers(address: str) -> frozenset[int]:
    """Ask a broker which brokers it knows to be alive; empty if it does not answer."""
    answer = await _metadata(address, [])
    return frozenset(broker["node_id"] for broker in answer["brokers"])


async def known_topics(address: str) -> frozenset[str]:
    """Ask a broker which topics it knows, with a leader for each partition; empty if it does not answer."""
    answer = await _metadata(address, None)
    return frozenset(
        topic["topic"]
        for topic in answer["topics"]
        if not topic["error_code"] and all(partition["leader"] >= 0 for partition in topic["partitions"])
    )


async def _metadata(address: str, topics: list[str] | None) -> dict[str, Any]:
    host, _, port = address.rpartition(":")
    try:
        connection = await create_conn(host, int(port), client_id="clarion", request_timeout_ms=_TIMEOUT_MS)
        try:
            answer = await connection.send(MetadataRequest(topics))
        finally:
            connection.close()
    except (OSError, TimeoutError, KafkaError):
        return {"brokers": [], "topics": []}
    return dict(answer.to_object())


async def until_ready(address: str, peers: frozenset[int], alive: Callable[[], bool], deadline_s: float) -> bool:
    """Wait until a broker knows all its peers; false when it died or the time was over before."""
    try:
        async with asyncio.timeout(deadline_s):
            while alive():
                if peers <= await known_brokers(address):
                    return True
                await asyncio.sleep(_ASK_AGAIN_S)
    except TimeoutError:
        pass
    return False
