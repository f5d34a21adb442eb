"""Which partition a key belongs to.

The answer is the one of Java's default partitioner: murmur2 of the key, made positive, modulo the partition count.
Whoever writes with librdkafka's default or without a key picks another partition; the router forwards such records.
"""

from functools import lru_cache
from struct import Struct as Layout

_SEED = 0x9747B28C
_MIX = 0x5BD1E995
_MASK = 0xFFFFFFFF
_POSITIVE = 0x7FFFFFFF
_WORDS = tuple(Layout(f"<{count}I") for count in range(33))


def murmur2(data: bytes) -> int:
    """Hash as Kafka's Java client does, as an unsigned 32-bit number."""
    length = len(data)
    count = length >> 2
    words = _WORDS[count] if count < len(_WORDS) else Layout(f"<{count}I")
    h = _SEED ^ length
    for word in words.unpack_from(data):
        k = word * _MIX & _MASK
        h = (h * _MIX ^ (k ^ k >> 24) * _MIX) & _MASK
    if length & 3:
        h = (h ^ int.from_bytes(data[length & ~3 :], "little")) * _MIX & _MASK
    h = (h ^ h >> 13) * _MIX & _MASK
    return h ^ h >> 15


@lru_cache(maxsize=65_536)
def partition_of(key: bytes, partitions: int) -> int:
    """Find the partition of a key among so many; the same keys come again and again, so answers are kept."""
    return (murmur2(key) & _POSITIVE) % partitions
