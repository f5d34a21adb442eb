"""What can go wrong between a client and the broker, and how often; the seed draws both."""

import asyncio
from random import Random
from typing import Literal

from tests.simulation.broker import Broker
from tests.simulation.loop import Loop

# What becomes of a request. A copy of one that is late arrives after the client has asked again.
Fate = Literal["well", "lost", "unanswered", "late", "copied", "failed", "failed after"]
_FATES: tuple[Fate, ...] = ("lost", "unanswered", "late", "copied", "failed", "failed after")


class Faults:
    """Draws latencies and fates; `quiet` when the world is to come to rest."""

    def __init__(self, loop: Loop, random: Random, broker: Broker, rate: float | None) -> None:
        self._loop = loop
        self._random = random
        self._broker = broker
        drawn = random.choice((0.0, 0.02, 0.1, 0.25))
        self._rate = drawn if rate is None else rate
        self.quiet = False
        self.over = False
        self.counts = dict.fromkeys(_FATES, 0)
        self.refused = 0
        self.hung = 0

    def latency(self) -> float:
        random = self._random
        return random.uniform(0.0003, 0.003) if random.random() < 0.9 else random.uniform(0.003, 0.05)

    def check(self) -> None:
        """Refuse everything when the run is over."""
        if self.over:
            raise asyncio.CancelledError

    def fate(self) -> Fate:
        """Draw what becomes of a transactional request or a batch."""
        if self.quiet or self._random.random() >= self._rate:
            return "well"
        fate = self._random.choice(_FATES)
        self.counts[fate] += 1
        return fate

    def patience(self) -> float:
        """Return how long a client waits for an answer: a lost connection is noticed soon, a lost request is not."""
        return 0.002 + 0.1 * self._random.random() ** 2 if self._random.random() < 0.7 else 10.0

    def lateness(self) -> float:
        return self._random.choice((0.02, 0.02, 0.05, 0.3, 3.0, 12.0)) * self._random.random()

    def down(self) -> bool:
        return self._loop.time() < self._broker.down_until

    def refuses(self) -> bool:
        """Tell whether a call that only reads fails."""
        if self.down() or (not self.quiet and self._random.random() < self._rate / 10):
            self.refused += 1
            return True
        return False

    def hangs(self) -> bool:
        """Tell whether stopping a producer hangs."""
        if self.quiet or self._random.random() >= 0.2:
            return False
        self.hung += 1
        return True

    def failed_calls(self) -> int:
        return sum(self.counts.values()) + self.refused + self.hung
