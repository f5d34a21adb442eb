"""Metrics of the sandbox; all series exist from the start."""

from prometheus_client import Counter, Gauge

from services.sandbox.message import Answer

MESSAGES = Counter(
    "clarion_sandbox_messages",
    "Messages that came to the sandbox, by what it answered.",
    ["channel", "answer"],
)
KEPT = Gauge("clarion_sandbox_kept_messages", "Messages that the sandbox keeps and shows.")

for _answer in Answer:
    MESSAGES.labels("email", _answer)
