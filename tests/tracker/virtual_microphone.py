"""A microphone without hardware: a private PulseAudio server whose null sink PortAudio records from.

PortAudio speaks ALSA, so the way is ALSA configuration -> ALSA's pulse plugin -> PulseAudio -> monitor of the sink.
Debian packages: pulseaudio pulseaudio-utils libasound2-plugins libportaudio2.
"""

from __future__ import annotations

import ctypes.util
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

SINK = "speakers"
CALL = "call"  # another output, which no microphone hears
START_S = 10.0  # a server that has not answered by then does not work here

# Both inputs hear the same sink. Replacing the whole configuration keeps the real devices of the machine out.
ALSA_CONFIGURATION = "".join(
    f'pcm.{name} {{ type pulse device "{SINK}.monitor" hint {{ show on description "virtual" }} }}\n'
    f"ctl.{name} {{ type pulse }}\n"
    for name in ("desk_microphone", "room_microphone", "!default")
)


def missing() -> str | None:
    """What has to be installed before a virtual microphone works, or None."""
    needed = {
        "pulseaudio": shutil.which("pulseaudio"),
        "pulseaudio-utils": shutil.which("pactl") and shutil.which("paplay"),
        "libportaudio2": ctypes.util.find_library("portaudio"),
        "libasound2-plugins": any(Path("/usr").glob("lib*/**/alsa-lib/libasound_module_pcm_pulse.so")),
    }
    absent = [package for package, found in needed.items() if not found]
    return f"the virtual microphone needs: apt-get install {' '.join(absent)}" if absent else None


class VirtualMicrophone:
    """A sound server of its own; what ``play`` plays is what its microphones hear.

    ``environment`` makes a process use it, when it is set before PortAudio starts there.
    """

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="mic-"))  # short, as the path of a socket must be
        self._socket = self._folder / "socket"
        self._server: subprocess.Popen[bytes] | None = None
        self._players: list[subprocess.Popen[bytes]] = []
        configuration = self._folder / "alsa.conf"
        configuration.write_text(ALSA_CONFIGURATION)
        self.environment = {
            "PULSE_SERVER": f"unix:{self._socket}",
            "PULSE_COOKIE": str(self._folder / "cookie"),
            "PULSE_RUNTIME_PATH": str(self._folder),
            "PULSE_STATE_PATH": str(self._folder),
            "XDG_RUNTIME_DIR": str(self._folder),
            "ALSA_CONFIG_PATH": str(configuration),
        }

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self._socket.unlink(missing_ok=True)
        self._server = subprocess.Popen(
            [
                *("pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no"),
                *("--disable-shm=yes", "--realtime=no", "--high-priority=no", f"--log-target=file:{self._folder}/log"),
                *("-L", f"module-native-protocol-unix socket={self._socket} auth-anonymous=1"),
                *("-L", f"module-null-sink sink_name={SINK} rate=48000 channels=2"),
                *("-L", f"module-null-sink sink_name={CALL} rate=44100 sink_properties=device.description=Headset"),
            ],
            env=self._whole_environment(),
        )
        deadline = time.monotonic() + START_S
        while self._control("info").returncode:
            if time.monotonic() > deadline or self._server.poll() is not None:
                self.remove()
                raise RuntimeError("the sound server does not start")
            time.sleep(0.05)

    def kill(self) -> None:
        """Pull the plug: the server is gone at once; ``start`` brings it back."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._server = None

    def remove(self) -> None:
        """Kill the server and all that plays, and delete its files."""
        self.kill()
        for player in self._players:
            player.kill()
            player.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def play(self, path: Path, sink: str = SINK) -> subprocess.Popen[bytes]:
        """Start playing a sound file into the microphones, or on ``CALL``; the process ends when it has been heard."""
        player = subprocess.Popen(["paplay", f"--device={sink}", str(path)], env=self._whole_environment())
        self._players.append(player)
        return player

    def unplug(self, sink: str) -> None:
        """Take an output away while the server goes on."""
        modules = (line.split() for line in self._control("list", "short", "modules").stdout.decode().splitlines())
        (number,) = (words[0] for words in modules if f"sink_name={sink}" in words)
        self._control("unload-module", number)

    def plug(self, sink: str, description: str) -> None:
        """Bring an output back."""
        self._control(
            "load-module", "module-null-sink", f"sink_name={sink}", f"sink_properties=device.description={description}"
        )

    def wait_for_listener(self) -> None:
        """Return once something records, so that nothing that is played then is missed."""
        deadline = time.monotonic() + START_S
        while not self._control("list", "short", "source-outputs").stdout.strip():
            if time.monotonic() > deadline:
                raise RuntimeError("nobody records from the virtual microphone")
            time.sleep(0.05)

    def _control(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(["pactl", *arguments], env=self._whole_environment(), capture_output=True, check=False)

    def _whole_environment(self) -> dict[str, str]:
        return {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(self._folder), **self.environment}
