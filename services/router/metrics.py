"""What the router counts. Labels come from closed enums; every series exists from the start."""

from prometheus_client import Counter, Gauge, Histogram

from services.common.topics import CHANNELS, LANES
from services.router.decision.model import REASONS_OF

DEAD_LETTER_INPUTS = ("events", "changes", "feedback", "fanouts")

_decisions = Counter("clarion_router_decisions_total", "Decision revisions by how and why.", ["outcome", "reason"])
_sends = Counter("clarion_router_sends_total", "Sends made.", ["channel", "lane"])
_dead_letters = Counter("clarion_router_dead_letters_total", "Inputs nobody could use.", ["input"])
FORWARDED = Counter("clarion_router_forwarded_total", "Events found on a partition that was not theirs.")
FAILURES = Counter("clarion_router_failures_total", "Records and holds that our own code failed on.")
HOLDS = Gauge("clarion_router_holds", "Decisions that wait.")
FANOUTS = Gauge(
    "clarion_router_fanouts", "Fan-outs that have not ended, each counted on every partition of its audience."
)
MEMBERS = Counter("clarion_router_fanout_members_total", "Customers looked at for fan-outs.")
DECIDE_LATENCY = Histogram(
    "clarion_router_accepted_to_decided_seconds",
    "From acceptance of an event to the start of the pass that decided it.",
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300),
)

DECISIONS = {
    (outcome, reason): _decisions.labels(outcome.name, reason.name)
    for outcome, reasons in REASONS_OF.items()
    for reason in reasons
}
SENDS = {(channel, lane): _sends.labels(channel, lane) for channel in CHANNELS for lane in LANES}
DEAD_LETTERS = {name: _dead_letters.labels(name) for name in DEAD_LETTER_INPUTS}
