"""The container, its compose file and the unit of systemd: what of them can be tried without Docker and systemd.

Nothing here builds the image or brings it up: there is no daemon where the tests run.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import subprocess
import tomllib
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from emotrack.command_line import whole_parser
from emotrack.tracker.mqtt.connection.message import Message
from tests.tracker.kitchen_table import EXAMPLES
from tests.tracker.mqtt.connection.test_acl import Person
from tests.tracker.mqtt.connection.test_broker import read
from tests.tracker.mqtt.microphones import frames
from tests.tracker.mqtt.mosquitto import Mosquitto, executable
from tests.tracker.mqtt.tracker_process import TrackerProcess
from tests.tracker.mqtt.waiting import until

ROOT = EXAMPLES.parent
FOLDER = EXAMPLES / "deployment"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
WORKER: list[str] = COMPOSE["services"]["worker"]["command"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
UNIT = (FOLDER / "emotrack.service").read_text()


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """The folder after ``prepare.sh``, beside that of the broker's example."""
    if executable() is None or shutil.which("openssl") is None:
        pytest.skip("mosquitto or openssl is not installed: nothing can be tried on a real broker")
    for name in ("deployment", "mosquitto"):
        shutil.copytree(EXAMPLES / name, tmp_path / name)
    command = [str(tmp_path / "deployment" / "prepare.sh"), "127.0.0.1", "kitchen"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout == "ready: docker compose up --detach\n"
    return tmp_path / "deployment"


def test_what_compose_mounts_is_there_and_ones_own(prepared: Path) -> None:
    mounted: list[str] = []
    for service in COMPOSE["services"].values():
        mounted += [volume.split(":")[0] for volume in service.get("volumes", ()) if volume.startswith(".")]
    mounted += [secret["file"] for secret in COMPOSE["secrets"].values()]
    assert len(mounted) == 10
    for name in mounted:
        assert (prepared / name).exists(), name
    assert {path.stat().st_mode & 0o777 for path in (prepared / "secrets").iterdir()} == {0o600}
    assert (prepared / ".env").read_text().startswith("OWNER=")
    passwords = (prepared / "secrets" / "passwords").read_text()
    assert all(line.split(":")[1].startswith("$") for line in passwords.splitlines()), "hashed"
    acl = (EXAMPLES / "mosquitto" / "emotrack.acl").read_text()
    assert set(re.findall(r"^user (\w+)$", acl, re.MULTILINE)) | {"kitchen"} == {
        line.split(":")[0] for line in passwords.splitlines()
    }
    again = subprocess.run([prepared / "prepare.sh", "127.0.0.1"], check=False, capture_output=True, text=True)
    assert (again.returncode, again.stderr) == (1, "there is a folder secrets/ already\n"), "nobody's keys are lost"


def test_the_commands_are_understood() -> None:
    (started,) = re.findall(r"^ExecStart=/opt/emotrack/bin/emotrack (.*)$", UNIT, re.MULTILINE)
    for words in (WORKER, started.split()):
        arguments = whole_parser().parse_args(words)
        assert arguments.metrics.endswith("9464")
    assert "http://127.0.0.1:9464/healthz" in DOCKERFILE
    assert yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"][0]["dns_sd_configs"][0] == {
        "names": ["worker"],
        "type": "A",
        "port": 9464,
    }


def test_the_image_has_what_the_package_needs_and_no_root() -> None:
    let_through = set(re.findall(r"^!(.*)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = {project["project"]["readme"], *project["project"]["license-files"], "constraints.txt", "pyproject.toml"}
    assert let_through == needed | {"emotrack", "models", "tracker", "train"}
    extras = re.findall(r"'\.\[([\w,]+)\]'", DOCKERFILE)[0].split(",")
    assert set(extras) <= set(project["project"]["optional-dependencies"])
    assert re.findall(r"^USER (\w+)$", DOCKERFILE, re.MULTILINE) == ["emotrack"]
    for service in (COMPOSE["services"][name] for name in ("broker", "worker")):
        assert service["user"] == "${OWNER}"
        assert service["cap_drop"] == ["ALL"]
        assert service["read_only"]


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / "emotrack.service"
    unit.write_text(UNIT.replace("/opt/emotrack/bin/emotrack", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", unit], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.long
def test_two_workers_share_what_prepare_made(prepared: Path, tmp_path: Path) -> None:
    """The processes of the compose file, without their containers: a turn comes of one, and both are healthy."""
    secrets = prepared / "secrets"
    broker = Mosquitto(tmp_path)
    configuration = (EXAMPLES / "mosquitto" / "mosquitto.conf").read_text().replace("8883", f"{broker.port} 127.0.0.1")
    configuration = configuration.replace("/etc/mosquitto/emotrack.acl", str(EXAMPLES / "mosquitto" / "emotrack.acl"))
    configuration = configuration.replace("/etc/mosquitto", str(secrets))
    configuration = configuration.replace("/var/lib/mosquitto", str(prepared / "data"))
    broker.configuration.write_text(f"{configuration}\nuser root\n")
    broker.start()
    ports, workers = [], []
    for number in range(2):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            ports.append(probe.getsockname()[1])
        here = {
            "broker:8883": f"127.0.0.1:{broker.port}",
            "/run/secrets/tracker": str(secrets / "tracker"),
            "/run/secrets/ca": str(secrets / "ca.pem"),
            "0.0.0.0:9464": f"127.0.0.1:{ports[number]}",
        }
        words = WORKER[1:]
        for theirs, ours in here.items():
            words = [word.replace(theirs, ours) for word in words]
        workers.append(TrackerProcess(tmp_path, f"worker{number}", *words, "--asr", "none"))

    def person(name: str, *filters: str) -> Person:
        options = ("--mqtt-ca", secrets / "ca.pem", "--mqtt-credentials", secrets / name)
        return Person(read(f"mqtts://127.0.0.1:{broker.port}/", *options), name, *filters)

    async def live() -> set[str]:
        people = {"kitchen": person("kitchen"), "steward": person("steward", "emotrack/kitchen/#")}
        running = [asyncio.create_task(each.run()) for each in people.values()]
        for worker in workers:
            await asyncio.to_thread(worker.wait_until_ready)
        people["steward"].connection.publish(Message("emotrack/kitchen/cmd/start", b"{}", qos=1))
        await until(lambda: "emotrack/kitchen/status" in people["steward"].topics())
        for frame in frames(4.0):
            people["kitchen"].connection.publish(Message("hermes/audioServer/kitchen/audioFrame", frame, qos=1))
            await asyncio.sleep(0.01)
        await until(lambda: "emotrack/kitchen/turn" in people["steward"].topics())
        for port in ports:
            with await asyncio.to_thread(urllib.request.urlopen, f"http://127.0.0.1:{port}/healthz") as answer:
                assert answer.status == 200
        for each in people.values():
            await each.connection.close()
        await asyncio.gather(*running)
        return people["steward"].topics()

    try:
        topics = asyncio.run(asyncio.wait_for(live(), 150))
        assert [worker.interrupt() for worker in workers] == [0, 0]
    finally:
        for worker in workers:
            worker.kill()
        broker.stop()
    assert topics >= {"emotrack/kitchen/turn", "emotrack/kitchen/owner", "emotrack/kitchen/snapshot"}
