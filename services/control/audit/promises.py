"""All promises, in the order in which people ask for them."""

from msgspec import Struct

from services.control.audit.caps_kept import caps_kept
from services.control.audit.closures_told import closures_told
from services.control.audit.decided_once import decided_once
from services.control.audit.evidence import Evidence, Promise
from services.control.audit.one_message import one_message
from services.control.audit.opt_outs_kept import opt_outs_kept
from services.control.audit.quiet_kept import quiet_kept
from services.router.decision.model import SECOND

OPT_OUT_GRACE = 5 * SECOND


class Audit(Struct, frozen=True):
    """What an audit found, promise by promise."""

    promises: tuple[Promise, ...]

    @property
    def holds(self) -> bool:
        """Whether all promises hold."""
        return all(promise.holds for promise in self.promises)

    def broken(self) -> tuple[str, ...]:
        """Return every case that breaks a promise, as one line each."""
        return tuple(f"{promise.says}: {line}" for promise in self.promises for line in promise.broken)


def audit(evidence: Evidence, now: int, grace: int = OPT_OUT_GRACE) -> Audit:
    """Judge the evidence; a change of a customer counts from `grace` microseconds after it was accepted."""
    return Audit(
        (
            decided_once(evidence, now),
            one_message(evidence),
            caps_kept(evidence),
            closures_told(evidence),
            opt_outs_kept(evidence, grace),
            quiet_kept(evidence, grace),
        ),
    )


def verdict(found: Audit) -> str:
    """Say in one line whether the promises hold."""
    held = sum(promise.holds for promise in found.promises)
    total = len(found.promises)
    return f"all {total} promises hold" if held == total else f"{total - held} of {total} promises are broken"
