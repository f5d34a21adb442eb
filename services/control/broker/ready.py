"""Whether a broker is ready: it answers a metadata call and names all its peers. An open port is not enough."""

import asyncio
from collections.abc import Callable

from aiokafka.conn import create_conn
from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest

_ASK_AGAIN_S = 0.05


async def known_brokers(address: str, timeout_s: float = 5.0) -> frozenset[int]:
    """Ask a broker which brokers it knows to be alive; empty if it does not answer."""
    host, _, port = address.rpartition(":")
    try:
        connection = await create_conn(host, int(port), client_id="clarion", request_timeout_ms=int(timeout_s * 1000))
    except (OSError, TimeoutError, KafkaError):
        return frozenset()
    try:
        answer = await connection.send(MetadataRequest([]))
    except (OSError, TimeoutError, KafkaError):
        return frozenset()
    finally:
        connection.close()
    return frozenset(broker[0] for broker in answer.brokers)


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
