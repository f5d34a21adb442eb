"""Checks a policy folder and puts it in force.

A policy with a mistake is never put in force. The bundle is written before the record that activates it, both
acknowledged by all in-sync replicas, so that whoever sees the activation finds the bundle.
"""

from pathlib import Path

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, UnknownTopicOrPartitionError
from msgspec import Struct

from services.common.kafka import producer_settings
from services.common.topics import Topics
from services.control.errors import ClarionError
from services.policy.bundle import Bundle, read_folder
from services.policy.check import check, render
from services.policy.codec import Activation, StoredBundle, activation_record, bundle_record
from services.policy.compile import compile_policy
from services.policy.registry import unserved
from services.router.decision.model import Policy

_PACKAGED = Path(__file__).with_name("example_policy")
_IN_THE_REPOSITORY = Path(__file__).parents[2] / "deploy" / "policy"


class Activated(Struct, frozen=True):
    """A policy that is in force now; `unserved` are channels of its plans that no sender here takes."""

    policy: Policy
    languages: tuple[str, ...]
    unserved: tuple[str, ...] = ()

    @property
    def warning(self) -> str:
        """Say what messages for channels without a sender become, "" if there are none."""
        if not self.unserved:
            return ""
        named = ", ".join(self.unserved)
        return f"no sender of {named} runs here: plans go on to their next channel (LOCKED)"

    def __str__(self) -> str:
        """Say what it holds in one line."""
        policy = self.policy
        rules = sum(not rule.ignore for rule in policy.rules)
        return (
            f"{policy.tenant} {policy.hash[:6]}: {rules} rules, {len(policy.categories)} categories,"
            f" {len(policy.caps)} caps, languages {', '.join(self.languages)}"
        )


def example_folder() -> Path:
    """Return the folder of the example policy, in an installed package or in the repository."""
    return _PACKAGED if _PACKAGED.is_dir() else _IN_THE_REPOSITORY


def read(folder: Path) -> Bundle:
    """Read a policy folder; raise ClarionError when there is none."""
    if not folder.is_dir():
        raise ClarionError(f"{folder} is not a folder")
    return read_folder(folder)


def read_checked(folder: Path) -> Bundle:
    """Read a policy folder; raise ClarionError with all mistakes if there are any."""
    bundle = read(folder)
    report = check(bundle)
    if report.mistakes:
        raise ClarionError(f"the policy in {folder} is not right:\n{render(report, bundle)}")
    return bundle


async def activate(bootstrap: str, topics: Topics, folder: Path, author: str, now: int) -> Activated:
    """Check a policy folder and put it in force for its tenant; raise ClarionError when it is not right."""
    bundle = read_checked(folder)
    policy = compile_policy(bundle)
    stored = bundle_record(StoredBundle(policy.tenant, policy.hash, dict(bundle.files)))
    active = activation_record(Activation(policy.tenant, policy.hash, author, now))
    producer = AIOKafkaProducer(**producer_settings(bootstrap, "clarion-policies"))
    try:
        await producer.start()
        for key, value in (stored, active):
            await producer.send_and_wait(topics.policies, key=key, value=value)
    except KafkaConnectionError as error:
        raise ClarionError(f"Kafka does not answer at {bootstrap}: start it, or set CLARION_KAFKA_BOOTSTRAP") from error
    except UnknownTopicOrPartitionError as error:
        raise ClarionError(f"the topic {topics.policies} is not there: run `clarion topics apply`") from error
    finally:
        await producer.stop()
    planned = {channel for rule in policy.rules for channel in rule.plan.channels}
    return Activated(policy, _languages(bundle), tuple(c for c in unserved(topics.channels) if c in planned))


def _languages(bundle: Bundle) -> tuple[str, ...]:
    return tuple(sorted({Path(path).stem for path in bundle.files if path.startswith("templates/")}))
