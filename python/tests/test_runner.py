from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import RUNNER, Run, is_running, wait_for

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a child subreaper and /proc")

IGNORES_TERM = (
    "import signal, time\nsignal.signal(15, lambda *a: print('ignored'))\nprint('up')\nwhile 1: time.sleep(1)"
)
# A process of its own session whose parent is gone, which ignores SIGTERM and holds the script's pipes.
DAEMON = """
import os, signal, sys, time
def daemon(seconds):
    up, tell = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(15, signal.SIG_IGN)
            print('daemon', os.getpid())
            os.write(tell, b'.')
            time.sleep(seconds)
        os._exit(0)
    os.wait()
    os.read(up, 1)  # until the daemon is up
daemon(60)
"""


def test_lines_are_numbered_without_holes_in_each_streams_order(run: Run) -> None:
    run.start("import sys\nfor i in range(5000): print('o', i); print('e', i, file=sys.stderr)")
    record = run.finish()
    assert run.lines("stdout") == [f"o {i}" for i in range(5000)]
    assert run.lines("stderr") == [f"e {i}" for i in range(5000)]
    assert record["lines"] == 10_000
    assert (record["code"], record["signal"], record["reason"], record["message"]) == (0, None, "exited", None)


@linux_only
def test_the_first_frame_says_who_writes_and_from_when_on(run: Run) -> None:
    run.start("import time\nprint('up')\ntime.sleep(30)", timeout=60)
    run.wait_for_line("up")
    stat = Path(f"/proc/{run.pid}/stat").read_bytes()
    ticks = stat[stat.rindex(b")") + 2 :].split()[19].decode()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    first = run.all_frames()[0]
    assert (first["n"], first["start"]) == (0, {"pid": run.pid, "identity": f"{boot}:{ticks}"})
    run.signal()
    assert run.finish()["reason"] == "cancelled"


def test_the_exit_frame_proves_the_lines_before_it(run: Run) -> None:
    started = time.time()
    run.start("print('héllo\\u2028 wörld')\nprint()\nprint('x' * 100_000)\nprint('end', end='')")
    record = run.finish()
    data = "".join(f"{text}\n" for text in run.lines()).encode()
    assert record["bytes"] == len(data)
    assert record["sha256"] == hashlib.sha256(data).hexdigest()
    assert record["lines"] == len(run.lines()) == 5
    times = [frame["t"] for frame in run.frames()]
    assert times == sorted(times)
    assert started <= times[0] <= times[-1] <= time.time()
    assert record["max_rss_bytes"] > 1_000_000
    assert record["cpu_seconds"] > 0


def test_a_line_is_in_the_spool_while_the_script_runs(run: Run) -> None:
    run.start("import time\nprint('first')\ntime.sleep(60)")
    run.wait_for_line("first")
    assert run.process is not None
    assert run.process.poll() is None
    run.signal()
    run.finish()


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_the_exit_code_is_the_scripts(run: Run, code: int) -> None:
    record = run.start(f"raise SystemExit({code})").finish()
    assert (record["code"], record["signal"], record["reason"]) == (code, None, "exited")


def test_a_script_ended_by_a_signal_has_its_name_and_no_code(run: Run) -> None:
    record = run.start("import os\nos.kill(os.getpid(), 11)").finish()
    assert (record["code"], record["signal"], record["reason"]) == (None, "SIGSEGV", "exited")


def test_text_is_clean_whatever_bytes_were_printed(run: Run) -> None:
    run.start(r"import os; os.write(1, b'ok\r\nbad \xff\xfe\xc3(\nnul \0!\nbar 1\rbar 2\n\xed\xa0\x80\nhalf \xe2\x82')")
    run.finish()
    assert run.lines() == ["ok", "bad ��\ufffd(", "nul �!", "bar 1\rbar 2", "���", "half �"]


def test_a_line_of_10_mb_is_cut_into_pieces_between_characters(run: Run) -> None:
    text = "aé€😀" * 1_000_000
    record = run.start(
        "print('a\\u00e9\\u20ac\\U0001f600' * 1_000_000)\nprint('next')", env={"PYTHONUTF8": "1"}
    ).finish()
    frames = run.frames()[:-1]
    long = [frame for frame in frames if frame.get("p")]
    assert all(len(frame["x"].encode()) <= 65536 for frame in frames)
    assert all(len(frame["x"].encode()) > 65536 - 4 for frame in long)
    assert "".join(frame["x"] for frame in frames[: len(long) + 1]) == text
    assert frames[len(long) + 1]["x"] == "next"
    assert record["lines"] == len(long) + 2


def test_the_script_gets_exactly_its_environment_in_its_own_session(run: Run) -> None:
    value = "quotes ' \" $HOME `x` \\ \n ünï 😀"
    script = """
import json, os, signal, sys
names = [n for n in ('SIGHUP', 'SIGINT', 'SIGTERM', 'SIGPIPE', 'SIGCHLD')
         if signal.getsignal(getattr(signal, n)) is signal.SIG_IGN and n != 'SIGPIPE']
print(json.dumps([{k: v for k, v in os.environ.items()}, os.getcwd(), os.getsid(0) == os.getpid(), sys.stdin.read(),
                  names, sorted(os.listdir('/proc/self/fd'))]))
"""
    run.start(script, env={"A": value, "PYTHONUTF8": "1", "PYTHONCOERCECLOCALE": "0"})
    run.finish()
    environment, folder, has_session, given, ignored, descriptors = json.loads(run.lines()[0])
    environment.pop("LC_CTYPE", None)  # Python's own, where the locale is C
    assert environment == {"A": value, "PYTHONUTF8": "1", "PYTHONCOERCECLOCALE": "0"}
    assert (folder, has_session, given, ignored) == (str(run.folder), True, "", [])
    assert len(descriptors) <= 4  # its three, and the one that lists them


def test_a_timeout_kills_a_script_that_ignores_sigterm(run: Run) -> None:
    record = run.run_out_of_time(IGNORES_TERM, lines=2)
    assert (record["code"], record["signal"], record["reason"]) == (None, "SIGKILL", "timed_out")
    assert "the script ran longer than its " in record["message"]
    assert run.lines() == ["up", "ignored"]


def test_a_process_that_goes_on_in_another_all_the_time_does_not_escape(run: Run) -> None:
    script = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    print("group", os.getpgrp(), flush=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if os.fork():
            os._exit(0)
    os._exit(0)
"""
    record = run.start(script).finish()
    assert (record["reason"], record["code"], record["message"]) == ("exited", 0, None)
    with pytest.raises(ProcessLookupError):
        os.killpg(run.wait_for_pid("group"), 0)


@linux_only
def test_a_script_whose_main_thread_has_ended_is_killed_when_its_time_is_over(run: Run) -> None:
    script = """
import ctypes, os, threading, time
threading.Thread(target=time.sleep, args=(60,)).start()
print("script", os.getpid(), flush=True)
ctypes.CDLL(None).syscall(60 if os.uname().machine == "x86_64" else 93, 0)  # exit, of this thread alone
"""
    record = run.start(script, timeout=1, grace=60).finish()
    assert (record["reason"], record["signal"]) == ("timed_out", "SIGTERM")


def test_a_cancelled_script_may_finish_within_the_grace_time(run: Run) -> None:
    script = """
import signal, sys, time
def stop(*_):
    print('saved')
    sys.exit(3)
signal.signal(15, stop)
print('up')
time.sleep(60)
"""
    run.start(script, grace=20)
    run.wait_for_line("up")
    run.signal()
    record = run.finish()
    assert (record["code"], record["reason"]) == (3, "cancelled")
    assert run.lines() == ["up", "saved"]


def test_a_second_sigterm_kills_at_once(run: Run) -> None:
    run.start(IGNORES_TERM, timeout=600, grace=600)
    run.wait_for_line("up")
    run.signal()
    run.wait_for_line("ignored")
    run.signal()
    record = run.finish()
    assert (record["signal"], record["reason"]) == ("SIGKILL", "cancelled")


def test_a_cancel_reaches_the_children_too(run: Run) -> None:
    script = """
import subprocess, sys
child = "import signal, sys, time; signal.signal(15, lambda *a: (print('child saved'), sys.exit()));"
child += "print('up'); time.sleep(60)"
subprocess.run([sys.executable, '-u', '-c', child])
"""
    run.start(script, grace=20)
    run.wait_for_line("up")
    run.signal()
    record = run.finish()
    assert (record["signal"], record["reason"]) == ("SIGTERM", "cancelled")
    assert run.lines() == ["up", "child saved"]


@linux_only
def test_a_process_that_forked_twice_is_ended_when_the_script_ends(run: Run) -> None:
    record = run.start(DAEMON + "print('done')").finish()
    assert record["code"] == 0
    assert not is_running(run.wait_for_pid("daemon"))


@linux_only
def test_a_process_that_forked_twice_is_ended_by_a_timeout(run: Run) -> None:
    record = run.run_out_of_time(DAEMON + "time.sleep(600)", lines=1)
    assert record["reason"] == "timed_out"
    assert not is_running(run.wait_for_pid("daemon"))


@linux_only
def test_a_tree_that_forks_without_end_is_ended(run: Run) -> None:
    # Each process forks its successor and exits, so that a pid just found is gone already.
    script = """
import os, signal, time
signal.signal(15, signal.SIG_IGN)
print('up')
if os.fork() == 0:
    give_up_at = time.monotonic() + 100
    while time.monotonic() < give_up_at:
        if os.fork():
            os._exit(0)
time.sleep(600)
"""
    run.start(script, timeout=600, grace=0.2)
    run.wait_for_line("up")
    run.signal()
    record = run.finish()
    assert record["reason"] == "cancelled"


def test_a_script_that_closes_its_output_runs_on(run: Run) -> None:
    script = """
import os, time
print('up')
os.close(1); os.close(2)
time.sleep(0.3)
open('proof', 'w').close()
os._exit(5)
"""
    record = run.start(script).finish()
    assert (record["code"], record["lines"]) == (5, 1)
    assert (run.folder / "proof").exists()


@linux_only
def test_a_pipe_held_by_a_process_out_of_reach_does_not_hang_the_runner(run: Run) -> None:
    # The script hands its standard output to this test, which is no descendant of the runner.
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(run.folder / "s"))
        server.listen()
        script = """
import socket
with socket.socket(socket.AF_UNIX) as s:
    s.connect('s')
    socket.send_fds(s, [b'x'], [1])
    s.recv(1)
print('last words')
"""
        run.start(script)
        connection, _ = server.accept()
        with connection:
            _, descriptors, _, _ = socket.recv_fds(connection, 1, 1)
            connection.send(b"x")
            record = run.finish()
            os.close(descriptors[0])
    assert record["code"] == 0
    assert "held open" in record["message"]
    assert run.lines() == ["last words"]


@linux_only
def test_the_script_does_not_outlive_a_killed_runner(run: Run) -> None:
    run.start("import os, time\nprint('script', os.getpid())\ntime.sleep(60)")
    pid = run.wait_for_pid("script")
    assert is_running(pid)
    run.signal(signal.SIGKILL)
    wait_for(lambda: not is_running(pid), "the script's end")


def test_the_runner_outlives_whoever_started_it(run: Run) -> None:
    # A parent that starts the runner with pipes, and is killed with its whole process group while the script runs.
    spec = {
        "argv": [
            sys.executable,
            "-u",
            "-c",
            "import time\nprint('up')\nwhile not __import__('os').path.exists('go'): time.sleep(.02)",
        ],
        "env": {},
        "cwd": str(run.folder),
        "spool": str(run.spool),
        "timeout_seconds": 30,
        "grace_seconds": 1,
        "output_limit_bytes": 1_000_000,
    }
    parent = f"""
import subprocess, sys, time
p = subprocess.Popen([sys.executable, '-I', '-S', {str(RUNNER)!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                     stderr=subprocess.PIPE)
p.stdin.write({json.dumps(spec).encode()!r}); p.stdin.close()
print(p.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        runner = int(process.stdout.readline())
        run.wait_for_line("up")
        os.kill(runner, signal.SIGHUP)
        os.killpg(process.pid, signal.SIGKILL)
    assert is_running(runner)
    assert os.getsid(runner) == runner
    (run.folder / "go").touch()
    record = wait_for(lambda: run.frames()[-1].get("exit"), "the exit frame")
    assert (record["code"], record["reason"]) == (0, "exited")
    wait_for(lambda: not is_running(runner), "the runner's end")


@pytest.mark.parametrize(
    ("argv", "cwd", "message"),
    [
        (["/nowhere/python", "x.py"], None, "/nowhere/python could not be started: No such file"),
        (["no-such-program"], None, "no-such-program could not be started: No such file"),
        (["/etc"], None, "/etc could not be started: Permission denied"),
        ([sys.executable], "/nowhere", "the working directory /nowhere cannot be entered: No such file"),
        ([sys.executable, "a\0b"], None, "null byte"),
    ],
)
def test_what_cannot_be_started_says_why(run: Run, argv: list[str], cwd: str | None, message: str) -> None:
    record = run.start("", argv=argv, cwd=cwd).finish()
    assert (record["code"], record["signal"], record["reason"]) == (None, None, "start_failed")
    assert message in record["message"]
    assert record["sha256"] == hashlib.sha256().hexdigest()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (b"", "Expecting value"),
        (b"[]", "not a JSON object"),
        (b'{"argv": ["x"]}', "lacks env, cwd, spool, timeout_seconds, grace_seconds, output_limit_bytes"),
        (
            b'{"argv": [], "env": {}, "cwd": "/", "spool": "/tmp/x", "timeout_seconds": 1, "grace_seconds": 1,'
            b' "output_limit_bytes": 1}',
            "argv is not",
        ),
    ],
)
def test_a_wrong_spec_starts_nothing(run: Run, spec: bytes, message: str) -> None:
    run.start_with(spec)
    assert run.process is not None and run.process.stderr is not None
    assert run.process.wait(60) == 2
    assert message in run.process.stderr.read().decode()


def test_starting_the_same_run_twice_starts_it_once(run: Run) -> None:
    run.start("print('x')").finish()
    before = run.spool.read_bytes()
    run.clean()
    run.start("print('y')")
    assert run.process is not None
    assert run.process.wait(60) == 2
    assert run.spool.read_bytes() == before


@linux_only
def test_a_full_disk_kills_the_script_and_leaves_whole_frames(run: Run) -> None:
    def limit_file_size() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))

    run.start("print('script', __import__('os').getpid())\nwhile 1: print('x' * 999)", preexec_fn=limit_file_size)
    pid = run.wait_for_pid("script")
    wait_for(lambda: not is_running(pid), "the script's end")
    size = wait_for(lambda: run.spool.stat().st_size, "the spool")
    assert size <= 100_000
    assert run.spool.read_bytes().endswith(b"}\n")
    resource.prlimit(run.pid, resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))  # room comes back
    record = run.finish()
    assert (record["signal"], record["reason"]) == ("SIGKILL", "output_lost")
    assert "could not be stored: File too large" in record["message"]
    data = "".join(f"{text}\n" for text in run.lines()).encode()
    assert record["sha256"] == hashlib.sha256(data).hexdigest()


def test_the_spool_is_readable_by_its_owner_alone(run: Run) -> None:
    run.start("print('secret')").finish()
    assert Path(run.spool).stat().st_mode & 0o777 == 0o600


def test_a_script_gets_less_of_a_busy_cpu_than_its_runner(run: Run) -> None:
    run.start("import os; print(os.getpriority(os.PRIO_PROCESS, 0))")
    run.finish()
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert run.lines("stdout") == [str(max(own, 5))]
