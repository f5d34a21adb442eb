"""Figures of a sender, `clarion_sender_*`; every series exists from the start."""

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from services.senders.outcome import Kind, Reason

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class SenderMetrics:
    """What a sender of one channel counts."""

    def __init__(self, channel: str, registry: CollectorRegistry = REGISTRY) -> None:
        outcomes = Counter(
            "clarion_sender_outcomes_total",
            "Tries by what became of them.",
            ["channel", "outcome"],
            registry=registry,
        )
        reasons = Counter(
            "clarion_sender_reasons_total",
            "Tries by the reason of their outcome.",
            ["channel", "reason"],
            registry=registry,
        )
        self.outcomes = {kind: outcomes.labels(channel, kind.name) for kind in Kind}
        self.reasons = {reason: reasons.labels(channel, reason.value) for reason in Reason}
        self.unknown = self._counter("unknown", "Calls whose outcome is not known.", channel, registry)
        self.parked = self._counter("parked", "Sends that wait for receipts.", channel, registry)
        self.prevented = self._counter(
            "duplicates_prevented", "Sends read again that the ledger knows.", channel, registry
        )
        self.dead_letters = self._counter("dead_letters", "Sends that nobody could read.", channel, registry)
        self.provider_seconds = Histogram(
            "clarion_sender_provider_seconds",
            "Time of a provider's answer.",
            ["channel"],
            buckets=_SECONDS,
            registry=registry,
        ).labels(channel)
        self.in_flight = Gauge("clarion_sender_in_flight", "Calls under way.", ["channel"], registry=registry).labels(
            channel
        )
        self.open = Gauge(
            "clarion_sender_open_sends", "Sends without an end yet.", ["channel"], registry=registry
        ).labels(channel)

    @staticmethod
    def _counter(what: str, meaning: str, channel: str, registry: CollectorRegistry) -> Counter:
        return Counter(f"clarion_sender_{what}_total", meaning, ["channel"], registry=registry).labels(channel)
