"""docs/metrics.md, made of the metrics that the processes really have.

Run: `python -m services.control.metrics_catalogue > docs/metrics.md`. All series exist from the start, so building
each service's metrics once tells every name, label and label value. It is a program of its own because building them
twice in one process is an error of the metrics library.
"""

import sys
from collections.abc import Iterable, Iterator

from prometheus_client import REGISTRY, Metric

import services.router.metrics  # importing it makes its series
import services.sandbox.metrics  # noqa: F401  # importing it makes its series
from services.common.processor.metrics import ProcessorMetrics
from services.ingest.metrics import Metrics as IngestMetrics
from services.senders.metrics import SenderMetrics

SERVICES = {
    "ingest": "`clarion ingest`, port 9711",
    "router": "`clarion router`, port 9712",
    "sender": "`clarion sender email`, port 9713",
    "sandbox": "`clarion sandbox`, port 9725",
}
HEAD = """# Metrics

<!-- Generated: python -m services.control.metrics_catalogue > docs/metrics.md -->

Every process serves these at `/metrics` in the text format of Prometheus. Names are `clarion_<service>_...`. Labels
come from closed lists, and all series exist from the start: a rate over a series that never counted is 0, not absent.
No label holds a tenant, a customer, an address or anything else from an event.

A counter ends in `_total`. A histogram `x` has the series `x_bucket`, `x_sum` and `x_count`. Each process also serves
the usual `process_*` and `python_*` metrics of the Python client.
"""


def catalogue(families: Iterable[Metric]) -> str:
    """Write the page for all metrics of Clarion among these."""
    ours = sorted((family for family in families if family.name.startswith("clarion_")), key=lambda one: one.name)
    sections = [HEAD]
    for service, where in SERVICES.items():
        rows = [_row(family) for family in ours if family.name.startswith(f"clarion_{service}_")]
        head = f"## {service}\n\n{where}\n\n| name | type | labels | meaning |\n|---|---|---|---|\n"
        sections.append(head + "\n".join(rows) + "\n")
    return "\n".join(sections)


def _row(family: Metric) -> str:
    name = f"{family.name}_total" if family.type == "counter" else family.name
    labels = "<br>".join(f"`{label}`: {', '.join(values)}" for label, values in _labels(family))
    return f"| `{name}` | {family.type} | {labels or 'none'} | {family.documentation} |"


def _labels(family: Metric) -> Iterator[tuple[str, list[str]]]:
    found: dict[str, dict[str, None]] = {}
    for sample in family.samples:
        for label, value in sample.labels.items():
            if label != "le":
                found.setdefault(label, {})[value] = None
    for label, values in found.items():
        yield label, list(values)


def main() -> None:
    """Write the page to stdout."""
    ProcessorMetrics("router")
    ProcessorMetrics("sender")
    IngestMetrics()
    SenderMetrics("email")
    sys.stdout.write(catalogue(REGISTRY.collect()))


if __name__ == "__main__":
    main()
