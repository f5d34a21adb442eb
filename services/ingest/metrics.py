"""What the doors count: closed labels only, every series from the start, nothing about anyone."""

from enum import StrEnum

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram

from services.ingest.check import Reason

_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


class Result(StrEnum):
    """How a publication or a change ended."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"


class Method(StrEnum):
    """The methods of the doors."""

    PUBLISH = "publish"
    PUBLISH_BATCH = "publish_batch"
    PUT_CUSTOMER = "put_customer"


class Metrics:
    """The counters of one process."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        events = Counter("clarion_ingest_events", "Events by result.", ["result"], registry=registry)
        customers = Counter("clarion_ingest_customers", "Changes by result.", ["result"], registry=registry)
        refusals = Counter("clarion_ingest_refused", "Events and changes by refusal.", ["reason"], registry=registry)
        seconds = Histogram(
            "clarion_ingest_seconds",
            "Time from a call's arrival to its answer.",
            ["method"],
            registry=registry,
            buckets=_BUCKETS,
        )
        self.events = {result: events.labels(result) for result in Result}
        self.customers = {result: customers.labels(result) for result in Result}
        self.refused = {reason: refusals.labels(reason) for reason in Reason}
        self.seconds = {method: seconds.labels(method) for method in Method}
