"""Faults that people and tests switch on: what a provider does to some messages instead of accepting them.

The first fault that concerns a message is the one it meets. Which messages belong to a share is decided by a hash
of the fault's kind and the message's id: the same message meets the same fault again, in every run.
"""

from collections.abc import Sequence
from enum import StrEnum
from hashlib import blake2b
from typing import Annotated, Literal

from msgspec import Meta, Struct

MOST_FAULTS = 50
Channel = Literal["email"]


class FaultKind(StrEnum):
    """What a provider does to a message."""

    REFUSE = "refuse"  # answers that it will never take it (5xx)
    TRY_LATER = "try_later"  # answers that it can't take it now (4xx)
    STALL = "stall"  # takes it, and answers some seconds later
    ACCEPT_THEN_DROP = "accept_then_drop"  # takes it, and closes the connection without an answer
    RATE_LIMIT = "rate_limit"  # answers that there are too many (421), and closes the connection
    ANSWER_TWICE = "answer_twice"  # takes it, and gives its answer twice


class Fault(Struct, forbid_unknown_fields=True):
    """One fault in force; `share` of the messages to addresses that contain `to` meet it, at most `times` times.

    `seconds` is how long a stall lasts; `used` counts the messages that met the fault.
    """

    kind: FaultKind
    channel: Channel = "email"
    share: Annotated[float, Meta(ge=0, le=1)] = 1.0
    to: Annotated[str, Meta(max_length=320)] | None = None
    seconds: Annotated[float, Meta(gt=0, le=600)] = 10.0
    times: Annotated[int, Meta(ge=1)] | None = None
    used: Annotated[int, Meta(ge=0)] = 0


FaultList = Annotated[list[Fault], Meta(max_length=MOST_FAULTS)]


class Faults:
    """The faults in force, in the order in which they are tried."""

    def __init__(self) -> None:
        self.in_force: list[Fault] = []

    def meet(self, channel: str, to: Sequence[str], identity: str) -> Fault | None:
        """Find the fault that a message meets and count it; `identity` is the message's id."""
        for fault in self.in_force:
            if concerns(fault, channel, to, identity):
                fault.used += 1
                return fault
        return None


def concerns(fault: Fault, channel: str, to: Sequence[str], identity: str) -> bool:
    """Say whether a message meets a fault."""
    if fault.channel != channel or (fault.times is not None and fault.used >= fault.times):
        return False
    if fault.to and not any(fault.to.lower() in address.lower() for address in to):
        return False
    return _place(fault.kind, identity) < fault.share


def _place(kind: FaultKind, identity: str) -> float:
    """Give a message its place in [0, 1): the same for ever, another one for each kind of fault."""
    digest = blake2b(f"{kind}|{identity}".encode("utf-8", "surrogatepass"), digest_size=7).digest()
    return int.from_bytes(digest, "big") / 2**56
