"""Which policy is in force on a real Kafka: activated, listed, rolled back; held decisions follow the one in force."""

import re
import subprocess
import sys
from pathlib import Path
from shutil import copytree

import msgspec
import pytest

from services.common.topics import Topics
from tests.support.settings import child_environment
from tests.support.stack import POLICY

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


class Steering:
    """`clarion policy ...` against a test's own topics."""

    def __init__(self, kafka: str, topics: Topics) -> None:
        self._environment = child_environment(
            CLARION_KAFKA_BOOTSTRAP=kafka,
            CLARION_TOPIC_PREFIX=topics.prefix,
            CLARION_PARTITIONS=str(topics.partitions),
        )

    def run(self, *arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "services.control", *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def hashes(self) -> list[tuple[str, str, bool]]:
        code, said = self.run("policy", "history", "--json")
        assert code == 0, said
        return [(entry["hash"], entry["author"], entry["in_force"]) for entry in msgspec.json.decode(said)]


def changed(folder: Path) -> Path:
    """Return a copy of the example policy with another cap."""
    copy = copytree(POLICY, folder / "policy")
    caps = copy / "caps.yaml"
    caps.write_text(re.sub(r"limit: 3", "limit: 4", caps.read_text(), count=1))
    return copy


async def test_a_policy_can_be_taken_back(kafka: str, topics: Topics, tmp_path: Path) -> None:
    steering = Steering(kafka, topics)
    assert steering.run("policy", "rollback", "--tenant", "northwind") == (
        1,
        "clarion: no policy is in force for northwind\n",
    )
    assert steering.run("policy", "activate", str(POLICY), "--author", "ana")[0] == 0
    assert steering.run("policy", "activate", str(POLICY), "--author", "ana again")[0] == 0
    ((first, _, _),) = steering.hashes()
    code, said = steering.run("policy", "rollback")
    assert (code, said) == (1, f"clarion: {first[:12]} is the only policy that was ever in force\n")
    assert steering.run("policy", "activate", str(changed(tmp_path)), "--author", "ben")[0] == 0
    (second, author, active), (before, _, _) = steering.hashes()
    assert (author, active, before) == ("ben", True, first)
    assert second != first
    code, said = steering.run("policy", "rollback", "--to", "ffffffffffff")
    assert code == 1
    assert "no other policy that was in force before has a hash that begins with ffffffffffff" in said
    code, said = steering.run("policy", "rollback", "--author", "cleo")
    assert (code, said.splitlines()[0].startswith(f"in force: northwind {first[:6]}")) == (0, True)
    assert [(h, a, now) for h, a, now in steering.hashes()][:2] == [(first, "cleo", True), (second, "ben", False)]
