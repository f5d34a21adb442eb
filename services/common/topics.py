"""The one list of Clarion's topics.

Everything that names a topic asks here; `clarion topics apply|check` and deploy/kafka/topics.yaml come from this list.
Topics that are read together by customer are co-partitioned: they have one partition count, fixed for life.
Retention follows the broker's clock (`LogAppendTime`), so a writer whose clock is wrong can neither lose nor keep data.
A prefix stands in front of the whole name; tests use it so that many may share one Kafka.
"""

from collections.abc import Mapping

from msgspec import Struct

CHANNELS = ("sms", "email", "push", "chat", "webhook", "inbox", "gateway")
LANES = ("urgent", "normal", "bulk")
DEFAULT_PARTITIONS = 8
MAX_MESSAGE_BYTES = 1_048_576

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
# How long a compacted topic keeps its tombstones; bounds how old a local store may be.
TOMBSTONES_KEPT_MS = 7 * _DAY_MS


class Topic(Struct, frozen=True):
    """One topic as it should be in Kafka; `co_partitioned` says that its partition count is the recorded one."""

    name: str
    partitions: int
    replication: int
    configs: Mapping[str, str]
    co_partitioned: bool = False


class Topics(Struct, frozen=True):
    """The names of all topics, and the list of them with their settings for a cluster of this size."""

    prefix: str = ""
    partitions: int = DEFAULT_PARTITIONS
    replication: int = 1
    channels: tuple[str, ...] = ("email",)

    @property
    def events(self) -> str:
        """What happened: CloudEvents from ingest and upstreams to the router."""
        return self._name("events")

    @property
    def changes(self) -> str:
        """Changes of customers; never written in a transaction, so that nothing delays an opt-out."""
        return self._name("changes")

    @property
    def fanouts(self) -> str:
        """Events with an audience, one record for each partition, from router to router."""
        return self._name("fanouts")

    @property
    def feedback(self) -> str:
        """What became of sends, and what customers did with them."""
        return self._name("feedback")

    @property
    def state(self) -> str:
        """The router's changelog."""
        return self._name("state")

    @property
    def profiles(self) -> str:
        """Customers as the router knows them, for the senders and for people."""
        return self._name("profiles")

    @property
    def decisions(self) -> str:
        """Every decision with its trace, and the pass records."""
        return self._name("decisions")

    @property
    def dead_letters(self) -> str:
        """Records that nobody could read, as they came."""
        return self._name("dead_letters")

    @property
    def policies(self) -> str:
        """Policy bundles, and which of them is in force."""
        return self._name("policies")

    @property
    def controls(self) -> str:
        """Stops, pauses and other orders of people."""
        return self._name("controls")

    @property
    def layout(self) -> str:
        """The record of the partition count that co-partitioned topics have for life."""
        return self._name("layout")

    def sends(self, channel: str, lane: str) -> str:
        """Decisions to send, for the sender of one channel, in one lane."""
        return self._name(f"sends.{channel}.{lane}")

    def ledger(self, channel: str) -> str:
        """What a sender intends and what came of it."""
        return self._name(f"ledger.{channel}")

    def all(self) -> tuple[Topic, ...]:
        """Every topic as it should be in Kafka, in the order in which they are created."""
        per_channel = [
            topic
            for channel in self.channels
            for topic in (
                *(self._by_customer(self.sends(channel, lane), self._kept(days=7)) for lane in LANES),
                self._by_customer(self.ledger(channel), self._compacted()),
            )
        ]
        return (
            self._single(self.layout),
            self._by_customer(self.events, self._kept(days=14)),
            self._by_customer(self.changes, self._kept(days=30)),
            self._by_customer(self.fanouts, self._kept(days=7)),
            self._by_customer(self.feedback, self._kept(days=14)),
            self._by_customer(self.state, self._compacted()),
            self._by_customer(self.profiles, self._compacted()),
            self._by_customer(self.decisions, self._kept(days=90)),
            *per_channel,
            Topic(self.dead_letters, self.partitions, self.replication, self._kept(days=30)),
            self._single(self.policies),
            self._single(self.controls),
        )

    def _name(self, what: str) -> str:
        return f"{self.prefix}clarion.{what}.v1"

    def _by_customer(self, name: str, configs: Mapping[str, str]) -> Topic:
        return Topic(name, self.partitions, self.replication, configs, co_partitioned=True)

    def _single(self, name: str) -> Topic:
        return Topic(name, 1, self.replication, self._compacted())

    def _kept(self, days: int) -> dict[str, str]:
        return {"cleanup.policy": "delete", "retention.ms": str(days * _DAY_MS), **self._common()}

    def _compacted(self) -> dict[str, str]:
        # Small segments and a lag bound: what was erased is gone within a day, and a restore reads little waste.
        return {
            "cleanup.policy": "compact",
            "delete.retention.ms": str(TOMBSTONES_KEPT_MS),
            "max.compaction.lag.ms": str(_DAY_MS),
            "min.cleanable.dirty.ratio": "0.1",
            "segment.bytes": str(128 * 1_048_576),
            **self._common(),
        }

    def _common(self) -> dict[str, str]:
        return {
            "max.message.bytes": str(MAX_MESSAGE_BYTES),
            "message.timestamp.type": "LogAppendTime",
            "min.insync.replicas": str(self.replication // 2 + 1),
            "unclean.leader.election.enable": "false",
        }
