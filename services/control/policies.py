"""Checks a policy folder and puts it in force.

A policy with a mistake is never put in force. The bundle is written before the record that activates it, both
acknowledged by all in-sync replicas, so that whoever sees the activation finds the bundle.
"""

from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from services.common.topics import Topics
from services.control.errors import ClarionError
from services.control.place import Place
from services.control.read import only_tenant, policy_records, reading
from services.control.records_out import write_records
from services.control.trial import try_templates
from services.policy.bundle import Bundle, read_folder
from services.policy.check import check, render
from services.policy.codec import Activation, StoredBundle, activation_record, bundle_record
from services.policy.compile import compile_policy
from services.policy.registry import unserved
from services.router.decision.model import Policy

HISTORY_LIMIT = 100
_PACKAGED = Path(__file__).with_name("example_policy")
_IN_THE_REPOSITORY = Path(__file__).parents[2] / "deploy" / "policy"


class Activated(Struct, frozen=True):
    """A policy that is in force now; `unserved` are channels of its plans that no sender here takes.

    `already`: it was in force before, by whom.
    """

    policy: Policy
    languages: tuple[str, ...]
    unserved: tuple[str, ...] = ()
    already: str = ""

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
    report = check(bundle, try_templates)
    if report.mistakes:
        raise ClarionError(f"the policy in {folder} is not right:\n{render(report, bundle)}")
    return bundle


async def activate(where: Place, folder: Path) -> Activated:
    """Check a policy folder and put it in force for its tenant; raise ClarionError when it is not right."""
    bundle = read_checked(folder)
    policy = compile_policy(bundle)
    bundles, before = await _known(replace(where, tenant=policy.tenant))
    if before is not None and before.hash == policy.hash and policy.hash in bundles:
        return replace(_activated(policy, bundle, where.topics), already=before.author or "somebody")
    stored = bundle_record(StoredBundle(policy.tenant, policy.hash, dict(bundle.files)))
    await write_records(where, where.topics.policies, [stored, activation_record(_following(where, policy, before))])
    return _activated(policy, bundle, where.topics)


async def start_with(where: Place, folder: Path | None) -> Activated:
    """Put a folder in force; without one keep what is in force for the example's tenant, at first the example."""
    if folder is not None:
        return await activate(where, folder)
    example = compile_policy(read(example_folder()))
    bundles, active = await _known(replace(where, tenant=example.tenant))
    stored = bundles.get(active.hash) if active is not None else None
    if stored is None:
        return await activate(where, example_folder())
    bundle = Bundle.from_files(stored.files)
    return _activated(compile_policy(bundle), bundle, where.topics)


async def in_force(where: Place) -> Activation | None:
    """Return what is in force for a tenant, with what was so before."""
    return (await _known(where))[1]


async def roll_back(where: Place, to: str = "") -> Activated:
    """Put a policy in force again that was so before: the last one, or the one whose hash begins with `to`."""
    bundles, before = await _known(where)
    if before is None:
        raise ClarionError(f"no policy is in force for {where.tenant}")
    if to and before.hash.startswith(to):
        raise ClarionError(f"{before.hash[:12]} is in force already")
    candidates = dict.fromkeys(p.hash for p in before.history if p.hash != before.hash and p.hash.startswith(to))
    if not candidates:
        raise ClarionError(_nothing_to_roll_back(before, to))
    if to and len(candidates) > 1:
        raise ClarionError(f"{to} begins several hashes: {', '.join(h[:12] for h in candidates)}")
    wanted = next(iter(candidates))
    stored = bundles.get(wanted)
    if stored is None:
        raise ClarionError(f"the files of policy {wanted[:12]} are not there any more; activate its folder")
    bundle = Bundle.from_files(stored.files)
    policy = compile_policy(bundle)
    await write_records(where, where.topics.policies, [activation_record(_following(where, policy, before))])
    return _activated(policy, bundle, where.topics)


async def _known(where: Place) -> tuple[dict[str, StoredBundle], Activation | None]:
    """Return a tenant's bundles by hash, and what is in force with its history."""
    async with reading(where.bootstrap, where.topics) as log:
        tenant = where.tenant or await only_tenant(log)
        bundles, activations = await policy_records(log)
    own = [each for each in activations if each.tenant == tenant]
    return {key[1]: bundle for key, bundle in bundles.items() if key[0] == tenant}, own[-1] if own else None


def _following(where: Place, policy: Policy, before: Activation | None) -> Activation:
    history: tuple[Activation, ...] = ()
    if before is not None:
        history = (replace(before, history=()), *before.history)[:HISTORY_LIMIT]
    return Activation(policy.tenant, policy.hash, where.author, where.now, history)


def _nothing_to_roll_back(before: Activation, to: str) -> str:
    if not to:
        return f"{before.hash[:12]} is the only policy that was ever in force"
    return f"no other policy that was in force before has a hash that begins with {to}; see `clarion policy history`"


def _activated(policy: Policy, bundle: Bundle, topics: Topics) -> Activated:
    planned = {channel for rule in policy.rules for channel in rule.plan.channels}
    return Activated(policy, _languages(bundle), tuple(c for c in unserved(topics.channels) if c in planned))


def _languages(bundle: Bundle) -> tuple[str, ...]:
    return tuple(sorted({Path(path).stem for path in bundle.files if path.startswith("templates/")}))
