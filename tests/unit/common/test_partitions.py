"""Our partition is the one that Java's default partitioner picks."""

import pytest
from aiokafka.partitioner import murmur2 as independent_murmur2
from hypothesis import given
from hypothesis import strategies as st

from services.common.partitions import murmur2, partition_of

# From the tests of Kafka's own client (UtilsTest), there as signed numbers.
KNOWN = [
    (b"21", -973932308),
    (b"foobar", -790332482),
    (b"a-little-bit-long-string", -985981536),
    (b"a-little-bit-longer-string", -1486304829),
    (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
    (b"abc", 479470107),
]


@pytest.mark.parametrize(("key", "signed"), KNOWN)
def test_hash_is_that_of_the_java_client(key: bytes, signed: int) -> None:
    assert murmur2(key) == signed & 0xFFFFFFFF


@given(st.binary(max_size=300))
def test_hash_agrees_with_an_independent_implementation(key: bytes) -> None:
    assert murmur2(key) == independent_murmur2(key)


@given(st.binary(max_size=60), st.integers(min_value=1, max_value=500))
def test_partition_is_within_the_topic_and_never_negative(key: bytes, partitions: int) -> None:
    assert 0 <= partition_of(key, partitions) < partitions


def test_a_hash_with_the_sign_bit_is_made_positive_as_java_does() -> None:
    assert partition_of(b"21", 1000) == (-973932308 & 0x7FFFFFFF) % 1000
