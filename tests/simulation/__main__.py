"""`python -m tests.simulation SEEDS [FROM]`: run seeds until one fails; of a single seed, tell the story."""

import asyncio
import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

from tests.simulation.loop import PROCESS
from tests.simulation.verdict import Figures, Verdict
from tests.simulation.world import simulate

TELL_EVERY = 1_000


def main(arguments: list[str]) -> int:
    seeds, first = int(arguments[0]), int(arguments[1]) if len(arguments) > 1 else 0
    if seeds == 1:
        structlog.configure(processors=[_stamp, structlog.processors.KeyValueRenderer(key_order=["at", "in", "event"])])
    else:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    figures = Figures()
    for seed in range(first, first + seeds):
        verdict = simulate(seed)
        figures.add(verdict.figures)
        if verdict.wrong:
            _say(figures)
            return _failed(verdict)
        if figures.seeds % TELL_EVERY == 0 and figures.seeds < seeds:
            _say(figures)
    _say(figures)
    return 0


def _stamp(_: Any, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    process = PROCESS.get()
    return {"at": f"{asyncio.get_running_loop().time():.4f}", "in": process.name if process else "world", **event}


def _say(figures: Figures) -> None:
    found = (f"{name.replace('_', ' ')} {getattr(figures, name):,}" for name in figures.__struct_fields__)
    sys.stdout.write("; ".join(found) + "\n")
    sys.stdout.flush()


def _failed(verdict: Verdict) -> int:
    sys.stdout.write(f"seed {verdict.seed} FAILED; make simulate SEEDS=1 FROM={verdict.seed} tells its story\n")
    sys.stdout.writelines(f"  {line}\n" for line in verdict.wrong)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
