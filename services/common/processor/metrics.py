"""Figures of a processor; every series exists from the start."""

from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 12)


class ProcessorMetrics:
    """What a processor counts, under the name of its service: `clarion_<service>_...`."""

    def __init__(self, service: str) -> None:
        name = f"clarion_{service}"
        self.owned = Gauge(f"{name}_partitions_owned", "Partitions that this process works on.")
        self.passes = Counter(f"{name}_passes_total", "Passes that took records or timers.")
        self.records = Counter(f"{name}_records_total", "Input records taken.")
        self.commit_seconds = Histogram(f"{name}_commit_seconds", "Time of a transaction.", buckets=_SECONDS)
        self.reopened = Counter(f"{name}_reopened_total", "Partitions opened again after an unclear commit.")
        self.fenced = Counter(f"{name}_fenced_total", "Partitions given up because somebody else owns them.")
        self.failed = Gauge(f"{name}_partitions_failed", "Partitions that wait for an operator: their log is stuck.")
        self.restored = Counter(f"{name}_restored_records_total", "Changelog records read to open partitions.")
        self.rebuilt = Counter(f"{name}_stores_rebuilt_total", "Local stores thrown away and read anew from Kafka.")
