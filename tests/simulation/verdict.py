"""What seeds went through, and what they showed."""

from msgspec import Struct


class Figures(Struct):
    """What a seed, or many, went through."""

    seeds: int = 0
    kills: int = 0
    freezes: int = 0
    stops: int = 0
    restarts_of_the_broker: int = 0
    rebalances: int = 0
    failed_calls: int = 0
    timed_out: int = 0
    hanging: int = 0
    offsets_moved: int = 0
    compactions: int = 0
    passes: int = 0
    steps: int = 0
    operators: int = 0

    def add(self, other: "Figures") -> None:
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Verdict(Struct):
    """What a seed showed."""

    seed: int
    wrong: tuple[str, ...]
    figures: Figures
