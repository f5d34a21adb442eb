"""What a condition costs as Python, beside the same condition in the CEL library.

Both evaluate the same scopes in one process; rounds alternate, and the ratio is taken round by round. The conditions
are those of the example policy and some that do more.
Run: `python -m bench.conditions [--times N] [--rounds N]`.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from bench.stage import machine
from services.policy.expressions import Language, customer_type
from services.policy.schemas import Schema
from services.router.decision.model import Event, Lifecycle, Profile, Scope, Severity

NAMES: Final = ("event", "data", "customer", "previous", "now")
CONDITIONS: Final = (
    'event.lifecycle == "opened" && data.customers_affected >= 1',
    'event.lifecycle in ["resolved", "cancelled"]',
    "customer.attributes.feeder == data.feeder",
    "data.restore_at != previous.restore_at || data.cause != previous.cause",
    'has(data.cause) && data.cause.startsWith("storm")',
    'data.restore_at - now > duration("30m") && event.severity in ["major", "critical"]',
    'data.streets.exists(street, street.name == "Ring" && street.homes > 10)',
)
SCHEMA: Final = Schema(
    {
        "type": "object",
        "required": ["area", "feeder", "customers_affected"],
        "properties": {
            "area": {"type": "string"},
            "feeder": {"type": "string"},
            "customers_affected": {"type": "integer"},
            "cause": {"type": "string"},
            "restore_at": {"type": "string", "format": "date-time"},
            "streets": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"name": {"type": "string"}, "homes": {"type": "integer"}},
                },
            },
        },
    }
)


def scopes(count: int) -> list[Scope]:
    found = []
    for number in range(count):
        data = {
            "area": "Mitte",
            "feeder": "F-17",
            "customers_affected": number + 1,
            "cause": "storm damage",
            "restore_at": f"2026-03-28T22:{number % 60:02}:00Z",
            "streets": [{"name": name, "homes": number} for name in ("Main", "Park", "Ring")],
        }
        event = Event(
            tenant="t",
            source="s",
            id=f"e{number}",
            type="x",
            subject="INC-1",
            time=1_774_700_000_000_000,
            lifecycle=Lifecycle.OPENED,
            sequence=None,
            severity=Severity.MAJOR,
            expiry=None,
            customers=("ana",),
            data=data,
            content_hash=b"",
            accepted=0,
        )
        profile = Profile("ana", attributes={"feeder": "F-17"})
        found.append(Scope(event, profile, {**data, "cause": "storm damage"}, 1_774_700_000_000_000))
    return found


def measure(evaluate: Callable[[Scope], Any], seen: Sequence[Scope], times: int) -> float:
    """Return microseconds an evaluation."""
    since = time.perf_counter()
    for _ in range(times):
        for scope in seen:
            evaluate(scope)
    return (time.perf_counter() - since) / (times * len(seen)) * 1e6


def run(options: argparse.Namespace) -> None:
    language = Language(SCHEMA.type, customer_type({"feeder": "string"}))
    seen = scopes(100)
    print(machine())
    print(
        f"{options.rounds} rounds after one to warm up, {options.times * len(seen)} evaluations a round, microseconds"
    )
    print(f"{'translated':>10}{'library':>10}{'ratio':>8}  condition")
    for source in CONDITIONS:
        compiled = language.compile(source, NAMES)
        assert compiled.translated, source
        assert [compiled.condition.evaluate(one) for one in seen] == [compiled.by_library(one) for one in seen], source
        rounds = []
        for _ in range(options.rounds + 1):
            fast = measure(compiled.condition.evaluate, seen, options.times)
            rounds.append((fast, measure(compiled.by_library, seen, options.times)))
        kept = rounds[1:]
        fast, slow = (statistics.median(one[side] for one in kept) for side in (0, 1))
        ratio = statistics.median(slow / fast for fast, slow in kept)
        print(f"{fast:10.2f}{slow:10.2f}{ratio:8.1f}  {source}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=7)
    run(parser.parse_args())
