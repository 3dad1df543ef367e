from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import frames_in, is_running, wait_for

LAUNCHER = Path(__file__).parent.parent / "asgard" / "launcher.py"
RUNNER = Path(__file__).parent.parent / "asgard" / "runner.py"
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="launchers are used on Linux alone")


class Launcher:
    """A launcher as the platform starts it, and the runs that came out of it."""

    def __init__(self, folder: Path, *modules: str) -> None:
        self.folder = folder
        self.environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(folder), "TMPDIR": str(folder)}
        one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        one_thread |= {"JE_ARROW_MALLOC_CONF": "background_thread:false"}
        self.process = subprocess.Popen(
            [sys.executable, "-u", str(LAUNCHER), *modules],
            cwd=folder,
            env=self.environment | one_thread | {"SECRET": "of the launcher"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.count = 0
        self.ready = self.read()

    def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def spec(self, script: str, **env: str) -> dict[str, Any]:
        self.count += 1
        work = self.folder / f"work {self.count}"
        work.mkdir()
        (work / "script.py").write_text(script)
        return {
            "argv": [sys.executable, "-u", "script.py"],
            "env": self.environment | env,
            "cwd": str(work),
            "spool": str(work / "spool"),
            "timeout_seconds": 60,
            "grace_seconds": 1,
            "output_limit_bytes": 1_000_000,
        }

    def launch(self, spec: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"id": self.count, "spec": spec}) + "\n")
        self.process.stdin.flush()
        return self.read()

    def run(self, script: str, **env: str) -> Ended:
        spec = self.spec(script, **env)
        answer = self.launch(spec)
        assert answer.get("id") == self.count and "pid" in answer, answer
        return ended(spec)

    def close(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.kill()
        self.process.wait(10)


class Ended:
    """What the spool of a run says."""

    def __init__(self, frames: list[dict[str, Any]]) -> None:
        self.exit: dict[str, Any] = frames[-1]["exit"]
        self.stdout = [frame["x"] for frame in frames if frame.get("s") == "stdout"]
        self.stderr = [frame["x"] for frame in frames if frame.get("s") == "stderr"]


def frames_of(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return frames_in(Path(spec["spool"]))


def ended(spec: dict[str, Any]) -> Ended:
    frames = wait_for(lambda: (found := frames_of(spec)) and "exit" in found[-1] and found, "the exit frame")
    return Ended(frames)


def run_cold(launcher: Launcher, script: str, **env: str) -> Ended:
    spec = launcher.spec(script, **env)
    subprocess.run(
        [sys.executable, "-I", "-S", str(RUNNER)],
        input=json.dumps(spec).encode(),
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=60,
    )
    return ended(spec)


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    launcher = Launcher(tmp_path_factory.mktemp("launcher"), "no_such_module", "json", "numpy", "threadpoolctl")
    yield launcher
    launcher.close()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Launcher]:
    launcher = Launcher(tmp_path, "json")
    yield launcher
    launcher.close()


PROBE = """
import json, os, signal, sys, threading
json.dump({
    "argv": sys.argv, "orig": sys.orig_argv, "name": __name__, "file": os.path.basename(__file__),
    "path": sys.path[0] == os.getcwd(),
    "flags": str(sys.flags), "main": sys.modules["__main__"].__dict__ is globals(), "names": sorted(globals()),
    "cwd": os.path.basename(os.getcwd())[:4], "environment": dict(os.environ),
    "input": sys.stdin.read(), "leads": os.getsid(0) == os.getpid(), "threads": threading.active_count(),
    "files": sorted(fd for fd in os.listdir("/proc/self/fd") if int(fd) < 3), "open": len(os.listdir("/proc/self/fd")),
    "signals": {s.name: str(signal.getsignal(s)) for s in signal.Signals},
    "blocked": [s.name for s in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
    "encodings": [(f.encoding, f.errors, f.isatty(), f.name, f.mode) for f in (sys.stdin, sys.stdout, sys.stderr)],
    "command": open("/proc/self/cmdline").read().split("\\0")[:3], "umask": os.umask(0o22), "nice": os.nice(0),
}, sys.stdout)
"""


def test_a_script_finds_what_it_would_find_in_a_new_interpreter(launcher: Launcher) -> None:
    warm, cold = launcher.run(PROBE, OWN="value"), run_cold(launcher, PROBE, OWN="value")
    assert warm.exit["code"] == 0, warm.stderr
    assert json.loads("".join(warm.stdout)) == json.loads("".join(cold.stdout))
    assert "SECRET" not in "".join(warm.stdout)


@pytest.mark.parametrize(
    "script",
    [
        "import sys; sys.exit()",
        "import sys; sys.exit(3)",
        "import sys; sys.exit(-1)",
        "import sys; sys.exit('a reason')",
        "import os; os._exit(9)",
        "raise ValueError('wrong: \\u00e9')",
        "def f():\n    return 1 / 0\n\n\nf()",
        "def g(:",
        "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise KeyError('x') from e",
        "raise KeyboardInterrupt",
        "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
        "import sys; sys.excepthook = lambda *a: print('hook', a[0].__name__)\nraise OSError",
        "import atexit; atexit.register(print, 'last'); print('first'); raise SystemExit(4)",
        "import threading, time\ndef f(): time.sleep(0.2); print('thread')\n"
        "threading.Thread(target=f).start()\nprint('main')",
        "f = open('left.txt', 'w'); f.write('x'); print('left')",
        "class A:\n    def __del__(self): print('gone')\na = A()\nprint('here')",
        "import sys; sys.stdout.write('no end of line')",
        "import sys; sys.stdout.close()",
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1)']); print(2)",
        "import multiprocessing as m\nif __name__ == '__main__':\n"
        "    with m.get_context('spawn').Pool(1) as p: print(p.map(abs, [-1]))",
        "import multiprocessing as m\nwith m.get_context('fork').Pool(2) as p: print(p.map(abs, [-1, -2]))",
        "import pickle\nclass C: pass\nprint(type(pickle.loads(pickle.dumps(C()))).__module__)",
        "print('\\ud800')",
    ],
)
def test_a_script_ends_as_it_would_in_a_new_interpreter(launcher: Launcher, script: str) -> None:
    warm, cold = launcher.run(script), run_cold(launcher, script)

    def told(run: Ended, number: int) -> list[str]:
        return [line.replace(f"work {number}", "work") for line in run.stderr]

    ending = ("code", "signal", "reason")
    assert [warm.exit[name] for name in ending] == [cold.exit[name] for name in ending]
    assert warm.stdout == cold.stdout
    assert told(warm, launcher.count - 1) == told(cold, launcher.count)


def test_files_that_were_left_open_are_written(launcher: Launcher) -> None:
    launcher.run("import json as own\nf = open('left.txt', 'w')\nf.write('all of it')\nlist_ = [f]")
    assert (launcher.folder / f"work {launcher.count}" / "left.txt").read_text() == "all of it"


def test_two_scripts_never_draw_the_same_numbers(launcher: Launcher) -> None:
    script = "import random, numpy\nprint(random.random(), numpy.random.rand(), numpy.random.default_rng().random())"
    drawn = {number for _ in range(3) for number in launcher.run(script).stdout[0].split()}
    assert len(drawn) == 9
    seeded = "import random, numpy\nrandom.seed(1); numpy.random.seed(1)\nprint(random.random(), numpy.random.rand())"
    assert launcher.run(seeded).stdout == run_cold(launcher, seeded).stdout


def test_temporary_files_go_where_the_run_has_its_own(tmp_path: Path) -> None:
    # A module that asks for the folder while it is imported has it remembered for all that come after.
    (tmp_path / "asks.py").write_text("import tempfile\ntempfile.gettempdir()\n")
    launcher = Launcher(tmp_path, "asks")
    try:
        own = tmp_path / "own"
        own.mkdir()
        assert "asks" in launcher.ready["loaded"]
        assert launcher.run("import tempfile\nprint(tempfile.gettempdir())", TMPDIR=str(own)).stdout == [str(own)]
    finally:
        launcher.close()


def test_libraries_have_as_many_threads_as_they_would_have_taken(launcher: Launcher) -> None:
    script = "import numpy, threadpoolctl\nprint([pool['num_threads'] for pool in threadpoolctl.threadpool_info()])"
    assert launcher.run(script).stdout == run_cold(launcher, script).stdout


def test_a_module_beside_the_script_is_found_and_none_of_ours(launcher: Launcher) -> None:
    spec = launcher.spec("import spool, launcher_own\nprint(spool.__file__.split('/')[-2][:4])")
    Path(spec["cwd"], "spool.py").write_text("")
    Path(spec["cwd"], "launcher_own.py").write_text("")
    launcher.launch(spec)
    assert ended(spec).stdout == ["work"]


def test_python_path_is_heeded_as_by_a_new_interpreter(launcher: Launcher) -> None:
    script = "import os, sys\nprint([path.replace(os.getcwd(), 'work') for path in sys.path])"
    warm, cold = (run(script, PYTHONPATH="/one:relative") for run in (launcher.run, partial(run_cold, launcher)))
    assert warm.stdout == cold.stdout
    assert warm.stdout[0].startswith("['work', '/one', 'work/relative', ")


def test_feast_is_ready_in_a_fork_and_has_left_no_trace(tmp_path: Path) -> None:
    launcher = Launcher(tmp_path, "mlflow", "--", "asgard.preload_feast", "feast")
    try:
        assert {"feast", "asgard_feast", "pyiceberg"} <= set(launcher.ready["loaded"])
        script = "import os, sys\nis_there = 'feast' in sys.modules\nimport feast\nfrom asgard_feast import offline\n"
        script += "print(is_there, [name for name in os.environ if name.startswith('PROM')])"
        package = str(LAUNCHER.parent.parent)
        assert launcher.run(script, PYTHONPATH=package).stdout == ["True []"]
        assert not [name for name in os.listdir(tmp_path) if name.startswith("feast_metrics_")]
    finally:
        launcher.close()


def test_cancel_and_the_time_limit_reach_the_script_and_all_that_it_started(launcher: Launcher) -> None:
    script = (
        "import os, signal, time\nsignal.signal(15, signal.SIG_IGN)\nif os.fork() == 0: os.setsid()\n"
        "os.write(1, b'%d\\n' % os.getpid())\ntime.sleep(60)"
    )
    spec = launcher.spec(script)
    pid = launcher.launch(spec)["pid"]
    wait_for(lambda: len(frames_of(spec)) == 3, "two lines")
    pids = [int(frame["x"]) for frame in frames_of(spec) if "x" in frame]
    os.kill(pid, signal.SIGTERM)
    assert ended(spec).exit["reason"] == "cancelled"
    assert not any(is_running(each) for each in pids)
    late = launcher.spec("import time; time.sleep(60)") | {"timeout_seconds": 0.3}
    launcher.launch(late)
    assert ended(late).exit["reason"] == "timed_out"


def test_a_script_goes_on_when_the_launcher_is_killed(own: Launcher) -> None:
    spec = own.spec("import time\nprint('up')\ntime.sleep(0.5)\nprint('done')")
    own.launch(spec)
    own.process.kill()
    run = ended(spec)
    assert (run.stdout, run.exit["code"]) == (["up", "done"], 0)


def test_the_launcher_ends_when_its_input_does_and_leaves_no_zombie(own: Launcher) -> None:
    spec = own.spec("print('x')")
    pid = own.launch(spec)["pid"]
    ended(spec)
    wait_for(lambda: not Path(f"/proc/{pid}").exists(), "the runner to be gone")
    assert own.process.stdin is not None
    own.process.stdin.close()
    assert own.process.wait(60) == 0


def test_a_launcher_with_a_foreign_thread_refuses(tmp_path: Path) -> None:
    (tmp_path / "threaded.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
    )
    launcher = Launcher(tmp_path, "threaded")
    try:
        assert "thread" in launcher.launch(launcher.spec("print(1)"))["refused"]
    finally:
        launcher.close()


TRACES = {
    "thread": "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
    "file": "import os\nfile = open(os.devnull)",
    "output": "print('Hello from the module')",
    "error_output": "import os\nos.write(2, b'hello')",
    "variable": "import os\nos.environ['MARK'] = '1'",
    "folder": "import os\nos.chdir('/')",
    "handler": "import signal\nsignal.signal(signal.SIGUSR1, signal.SIG_IGN)",
    "hook": "import sys\nsys.excepthook = print",
    "path": "import sys\nsys.path.append('/nowhere')",
    "logs": "import logging\nlogging.basicConfig()",
    "builtin": "import builtins\nbuiltins.mark = 1",
}


def test_what_would_be_noticed_by_scripts_that_do_not_import_it_is_not_imported_for_them(tmp_path: Path) -> None:
    for name, code in TRACES.items():
        (tmp_path / f"leaves_{name}.py").write_text(code)
    (tmp_path / "ends.py").write_text("import sys\nsys.exit(3)")
    (tmp_path / "good.py").write_text("")
    launcher = Launcher(
        tmp_path, "json", "--", *(f"leaves_{name}" for name in TRACES), "ends", "no_such_module", "good"
    )
    try:
        assert launcher.ready["ready"] and {"json", "good"} <= set(launcher.ready["loaded"])
        run = launcher.run("import sys\nprint([name for name in sys.modules if name.startswith('leaves')])\nprint('é')")
        assert (run.stdout, run.stderr, run.exit["code"]) == (["[]", "é"], [], 0)
        assert "good" in launcher.run("import sys\nprint(*sys.modules)").stdout[0].split()
        assert launcher.run(PROBE).stdout == run_cold(launcher, PROBE).stdout
    finally:
        launcher.close()


def test_a_spool_that_has_a_run_gets_no_second_one(own: Launcher) -> None:
    spec = own.spec("print('once')")
    own.launch(spec)
    ended(spec)
    own.launch(spec)
    pid = own.launch(own.spec("print('other')"))["pid"]
    wait_for(lambda: not is_running(pid), "a run after it")
    assert [frame.get("x") for frame in frames_of(spec)] == [None, "once", None]
