"""What a script that is hostile cannot do, where Asgard runs as root and where it does not, cold and warm."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import frames_in, is_running, wait_for

from asgard.linux import CLONE_NEWNS, MS_BIND, MS_REC, MS_SLAVE, become, mount, unshare

PACKAGE = Path(__file__).parent.parent
HOSTILE = (Path(__file__).parent / "hostile_script.py").read_text()
NOBODY = 65534
IS_ROOT = os.geteuid() == 0
# Signals reach it, and it holds a secret.
VICTIM = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(3600)"]
# What a launcher forks on the way to a script, and is no session's leader, lasts longer than the script.
SLOW_TO_END = """
import os, time
end = os._exit
def end_later(code):
    if os.getsid(0) != os.getpid():
        time.sleep(0.5)
    end(code)
os._exit = end_later
"""
# Prints how many more processes it could have, and has them until it is killed.
MANY = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
count = 0
try:
    while count < 300:
        if os.fork() == 0:
            time.sleep(120)
        count += 1
except BlockingIOError:
    pass
print('others:', count, flush=True)
time.sleep(120)
"""
OTHER = """
import os, time
open('own', 'w').write('x')
open('/tmp/own-of-another', 'w').write('x')
print('other', os.getpid(), flush=True)
time.sleep(600)
"""


def _open_folders() -> None:
    """What runs in here must be where an ordinary user finds it; the Python of this test may be in root's home."""
    unshare(CLONE_NEWNS)
    mount("none", "/", None, MS_REC | MS_SLAVE)
    needed = [os.path.realpath(path) for path in (sys.base_prefix, sys.prefix, PACKAGE)]
    for path in needed:
        closed = next((str(p) for p in reversed(Path(path).parents) if not p.stat().st_mode & 1), None)
        if closed is None:
            continue
        below = [(each, os.open(each, os.O_PATH)) for each in needed if each.startswith(closed + "/")]
        mount("tmpfs", closed, "tmpfs", 0, "mode=755")
        for each, fd in below:
            os.makedirs(each)
            mount(f"/proc/self/fd/{fd}", each, None, MS_BIND | MS_REC)
            os.close(fd)


def _become_nobody() -> None:
    _open_folders()
    become(NOBODY)


class World:
    """A data folder with a secret, a process that stands for the platform, and a starter, all of one user."""

    def __init__(self, prepare: Callable[[], None] | None) -> None:
        """`prepare` is called in each process that belongs to it, before it executes its program."""
        self.prepare = prepare
        self.uid = NOBODY if prepare is _become_nobody else os.geteuid()
        self.data = Path(os.path.realpath(tempfile.mkdtemp(prefix="asgard-apart-"))) / "data"
        os.chmod(self.data.parent, 0o711)
        self.folder(self.data)
        self.secret = self.file(self.data / "secret", "of the platform")
        self.count = 0
        self.started: list[subprocess.Popen[Any]] = []
        self.runs: list[ConfinedRun] = []
        self.victim = self.popen(VICTIM, env={"MARK": "SECRET_OF_THE_PLATFORM"})
        self.starter = self.popen(
            [sys.executable, "-I", "-S", str(PACKAGE / "asgard" / "starter.py"), " " * 512],
            env={"MARK": "SECRET_OF_THE_PLATFORM"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def popen(self, argv: list[str], **options: Any) -> subprocess.Popen[Any]:
        process = subprocess.Popen(argv, cwd=self.data, preexec_fn=self.prepare, start_new_session=True, **options)
        self.started.append(process)
        return process

    def folder(self, path: Path) -> Path:
        path.mkdir(parents=True, mode=0o700, exist_ok=True)
        os.chown(path, self.uid, self.uid)
        return path

    def file(self, path: Path, text: str) -> Path:
        path.write_text(text)
        path.chmod(0o600)
        os.chown(path, self.uid, self.uid)
        return path

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self.starter.stdin is not None
        self.starter.stdin.write(json.dumps(request) + "\n")
        self.starter.stdin.flush()
        return self.hear()

    def hear(self) -> dict[str, Any]:
        assert self.starter.stdout is not None
        return json.loads(self.starter.stdout.readline())

    def confinement(self, *writable: Path, tmp: Path, level: str = "namespaces") -> dict[str, Any]:
        return {
            "level": level,
            "hidden": [str(self.data)],
            "readable": [sys.prefix, str(PACKAGE)],
            "writable": [str(path) for path in writable],
            "tmp": str(tmp),
        }

    def launcher(self, *modules: str) -> int:
        self.count += 1
        folder = self.folder(self.data / f"launcher {self.count}")
        self.file(
            folder / "with_a_thread.py",
            "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n",
        )
        self.file(folder / "slow_to_end.py", SLOW_TO_END)
        program = {
            "argv": [sys.executable, "-u", str(PACKAGE / "asgard" / "confined_launcher.py"), *modules],
            "env": {"PATH": os.environ["PATH"], "HOME": str(folder)},
            "cwd": str(folder),
            "confinement": self.confinement(folder, tmp=self.folder(folder / "tmp")),
        }
        number = self.ask({"id": 0, "launch": program})["launcher"]
        assert self.hear().get("ready")
        return number

    def run(
        self,
        script: str,
        launcher: int | None = None,
        level: str | None = "namespaces",
        process_limit: int | None = None,
        **env: str,
    ) -> ConfinedRun:
        self.count += 1
        folder = self.folder(self.data / "jobs" / str(self.count))
        work, home, tmp = (self.folder(folder / name) for name in ("work", "home", "tmp"))
        self.file(work / "script.py", script)
        spec: dict[str, Any] = {
            "argv": [sys.executable, "-u", "script.py"],
            "env": {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", **env},
            "cwd": str(work),
            "spool": str(folder / "spool"),
            "timeout_seconds": 600,
            "grace_seconds": 0.5,
            "output_limit_bytes": 1_000_000,
            "process_limit": process_limit,
        }
        if level is not None:
            spec["confinement"] = self.confinement(work, home, tmp=tmp, level=level)
        answer = self.ask({"id": self.count, "run": spec, "launcher": launcher})
        assert "pid" in answer, answer
        self.runs.append(ConfinedRun(folder, answer["pid"]))
        told = self.file(work / "runner.new", str(answer["pid"]))
        told.chmod(0o644)
        told.rename(work / "runner")
        return self.runs[-1]

    def close(self) -> None:
        for run in self.runs:
            if run.pid in pids_of(str(run.folder)):
                os.kill(run.pid, signal.SIGKILL)
        wait_for(lambda: not pids_of(f"{self.data}/jobs"), "the end of all runs")
        for process in self.started:
            process.kill()
            process.wait(10)
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
        shutil.rmtree(self.data.parent)


class ConfinedRun:
    """A run that has been started."""

    def __init__(self, folder: Path, pid: int) -> None:
        self.folder = folder
        self.pid = pid

    def frames(self) -> list[dict[str, Any]]:
        return frames_in(self.folder / "spool")

    def lines(self) -> list[str]:
        return [frame["x"] for frame in self.frames() if "x" in frame]

    def line(self, text: str) -> str:
        return wait_for(lambda: next((line for line in self.lines() if text in line), None), f"{text!r}")

    def exit(self) -> dict[str, Any]:
        return wait_for(lambda: (found := self.frames()) and found[-1].get("exit"), f"the end of {self.lines()}")


@pytest.fixture(params=["root", "ordinary"] if IS_ROOT else ["ordinary"], scope="module")
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    world = World(_become_nobody if IS_ROOT and request.param == "ordinary" else None)
    yield world
    world.close()


@pytest.fixture(params=["cold", "warm"])
def launcher(request: pytest.FixtureRequest, world: World) -> int | None:
    return world.launcher("json") if request.param == "warm" else None


def given(world: World, other: ConfinedRun, other_pid: int, **more: Any) -> str:
    return json.dumps(
        {
            **more,
            "mark": "SECRET_OF_THE_PLATFORM",
            "data": str(world.data),
            "secret": str(world.secret),
            "spool": str(world.data / "jobs" / str(world.count + 1) / "spool"),
            "other": str(other.folder / "work" / "own"),
            "temporary": "/tmp/own-of-another",
            "pid": world.victim.pid,
            "starter": world.starter.pid,
            "other_pid": other_pid,
            "environment": sys.prefix,
            "program": str(PACKAGE / "asgard" / "runner.py"),
        }
    )


def pids_of(text: str) -> list[int]:
    """Processes with this text in their variables or arguments, and not this one."""

    def has(pid: str) -> bool:
        try:
            data = Path(f"/proc/{pid}/environ").read_bytes() + Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False
        return text.encode() in data

    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid() and has(name)]


def test_a_hostile_script_can_do_none_of_it(world: World, launcher: int | None) -> None:
    other = world.run(OTHER, TOKEN="TOKEN_OF_ANOTHER")
    other.line("other")
    (other_pid,) = pids_of("TOKEN_OF_ANOTHER")
    run = world.run(HOSTILE, launcher, GIVEN=given(world, other, other_pid))
    record = run.exit()
    assert (record["code"], record["reason"]) == (7, "exited"), run.lines()
    found = json.loads(run.lines()[-1])
    assert (found["done"], found["tried"]) == ([], 38)
    assert found["uid"] >= 20_000 if world.uid == 0 else found["uid"] == world.uid
    assert found["pids"][1] == 1
    assert is_running(other_pid) and is_running(world.victim.pid)
    assert len(other.lines()) == 1
    os.kill(other.pid, signal.SIGTERM)
    assert other.exit()["reason"] == "cancelled"


def test_without_confinement_it_can_do_what_harms_nobody_here(world: World) -> None:
    only = [
        "list the data folder",
        "read the data folder",
        "write the data folder",
        "read its spool",
        "write its spool",
        "read another job's file",
        "see a process of the platform",
        "find the platform's secret in /proc",
        "find another job's token in /proc",
        "signal a process of the platform",
        "see its starter",
        "see its runner",
        "signal its starter",
        "signal its runner",
        "stop its runner's group",
    ]
    other = world.run(OTHER.replace("/tmp/", ""), level=None, TOKEN="TOKEN_OF_ANOTHER")
    other.line("other")
    run = world.run(HOSTILE, level=None, GIVEN=given(world, other, other.pid, only=only))
    assert run.exit()["code"] == 7, run.lines()
    assert json.loads(run.lines()[-1])["done"] == only
    os.kill(other.pid, signal.SIGTERM)
    assert other.exit()["reason"] == "cancelled"


def test_a_script_that_kills_all_that_it_can_ends_itself_alone(world: World, launcher: int | None) -> None:
    other = world.run(OTHER)
    other.line("other")
    record = world.run("import os, subprocess\nsubprocess.Popen(['/bin/sleep', '60'])\nos.kill(-1, 9)", launcher).exit()
    # The kernel spares the caller.
    assert (record["code"], record["reason"]) == (0, "exited")
    again = world.run("print('still here')", launcher)
    assert again.exit()["code"] == 0
    os.kill(other.pid, signal.SIGTERM)
    assert other.exit()["reason"] == "cancelled"


def test_each_script_has_no_more_processes_than_it_may(world: World, launcher: int | None) -> None:
    first, second = (world.run(MANY, launcher, process_limit=60) for _ in range(2))
    for run in (first, second):
        assert 50 <= int(run.line("others:").split()[1]) < 60
        os.kill(run.pid, signal.SIGTERM)
        assert run.exit()["signal"] == "SIGKILL"


def test_without_memory_a_script_goes_before_the_platform(world: World, launcher: int | None) -> None:
    run = world.run("print(open('/proc/self/oom_score_adj').read())", launcher)
    assert run.exit()["code"] == 0
    adjustment = int(Path("/proc/self/oom_score_adj").read_text())
    assert int(run.lines()[0]) == max(500, adjustment)


@pytest.mark.parametrize("how", ["cancel", "kill the runner"])
def test_nothing_is_left_of_a_script_that_hides(world: World, launcher: int | None, how: str) -> None:
    mark = f"hidden-{world.count}-{how.split()[0]}"
    script = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _ in range(5):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execve('/bin/sleep', ['sleep', '100'], {'MARK': os.environ['MARK']})
        os._exit(0)
    os.wait()
print('up', flush=True)
while True:
    time.sleep(1)
"""
    run = world.run(script, launcher, MARK=mark)
    run.line("up")
    # What is just being executed shows no variables.
    wait_for(lambda: len(pids_of(mark)) >= 5, "all of it")
    os.kill(run.pid, signal.SIGTERM if how == "cancel" else signal.SIGKILL)
    if how == "cancel":
        record = run.exit()
        assert (record["reason"], record["signal"]) == ("cancelled", "SIGKILL")
        assert not pids_of(mark)
    else:
        wait_for(lambda: not pids_of(mark), "the end of all of it")
        assert "exit" not in run.frames()[-1]


def test_a_warm_script_outlives_launcher_and_starter(world: World) -> None:
    own = World(world.prepare)
    try:
        script = (
            "import os, time\nprint('up', flush=True)\nwhile not os.path.exists('go'): time.sleep(0.01)\nprint('done')"
        )
        run = own.run(script, own.launcher("json"))
        run.line("up")
        own.starter.kill()
        own.starter.wait(10)
        wait_for(lambda: not pids_of(f"HOME={own.data}/launcher"), "the end of the launcher")
        own.file(run.folder / "work" / "go", "")
        assert (run.exit()["code"], run.lines()) == (0, ["up", "done"])
        wait_for(lambda: not pids_of(str(own.data)), "the end of its runner and sandboxes")
    finally:
        own.close()


def test_what_it_used_is_counted(world: World, launcher: int | None) -> None:
    script = """
import os, time
if os.fork() == 0:
    held = bytearray(150_000_000)
    held[::4096] = b'x' * len(held[::4096])
    give_up_at = time.process_time() + 0.3
    while time.process_time() < give_up_at: pass
    os._exit(0)
os.wait()
"""
    record = world.run(script, launcher).exit()
    assert record["max_rss_bytes"] > 150_000_000
    assert record["cpu_seconds"] >= 0.3


def test_a_launcher_that_has_a_thread_lets_the_script_start_cold(world: World) -> None:
    number = world.launcher("with_a_thread")
    run = world.run("import sys\nprint('asgard.warm_script' in sys.modules)", number)
    assert (run.exit()["code"], run.lines()) == (0, ["False"])
    assert world.hear() == {"launcher": number, "ended": True}


@pytest.mark.skipif(not IS_ROOT, reason="only root can become another user")
def test_the_end_of_a_script_is_seen_however_soon_it_comes(world: World) -> None:
    run = world.run("print('short')", world.launcher("slow_to_end"))
    record = run.exit()
    assert run.lines() == ["short"]
    assert (record["code"], record["reason"]) == (0, "exited")


def test_where_there_are_no_namespaces_root_gives_each_script_a_user_of_its_own() -> None:
    own = World(_open_folders)
    try:
        only = [
            "list the data folder",
            "read the data folder",
            "read the data folder by the folder of what is outside",
            "read its spool",
            "write its spool",
            "forge its exit",
            "read another job's file",
            "see its starter",
            "see its runner",
            "find the platform's secret in /proc",
            "find another job's token in /proc",
            "signal a process of the platform",
            "signal its starter",
            "signal its runner",
            "stop its runner's group",
            "trace its runner",
            "signal another job's script",
            "become root",
            "write the environment",
            "write the platform's program",
        ]
        own.file(own.folder(own.data / "logs") / "log", "x").chmod(0o644)
        (own.data / "logs").chmod(0o755)
        other = own.run(OTHER.replace("/tmp/", ""), level="account", TOKEN="TOKEN_OF_ANOTHER")
        other.line("other")
        (other_pid,) = pids_of("TOKEN_OF_ANOTHER")
        run = own.run(HOSTILE, level="account", GIVEN=given(own, other, other_pid, only=only))
        assert run.exit()["code"] == 7, run.lines()
        found = json.loads(run.lines()[-1])
        assert (found["done"], found["tried"]) == ([], len(only))
        assert found["uid"] >= 20_000
        assert found["pids"][1] == run.pid
        assert [path.stat().st_mode & 0o777 for path in (own.data, own.data / "logs")] == [0o701, 0o750]
        many = own.run(MANY, level="account", process_limit=60)
        assert 50 <= int(many.line("others:").split()[1]) < 60
        for each in (other, many):
            os.kill(each.pid, signal.SIGTERM)
            assert each.exit()["reason"] == "cancelled"
    finally:
        own.close()
