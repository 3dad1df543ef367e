/**
 * What every hostile script begins with. `born()` is called by each process when it begins; the descriptor that it writes
 * to stays open in all of them, through forks and programs that they become.
 */
export const PRELUDE = `
import ctypes, os, signal, subprocess, sys, threading, time
LIFE_LINE = os.open(os.environ["LIFE_LINE"], os.O_WRONLY)
os.set_inheritable(LIFE_LINE, True)
def born():
    os.write(LIFE_LINE, b"x")
def deaf():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
def stay():
    while True:
        time.sleep(60)
def fork(work):
    if os.fork() == 0:
        born()
        work()
        os._exit(0)
# What would reach beyond the script must not, unless it is in a process id namespace of its own.
def is_confined():
    return os.readlink("/proc/self/ns/pid") != os.environ["OUTER_PID_NAMESPACE"]
born()
`;

/** By what they do. Each goes on until it is killed. */
export const HOSTILE_SCRIPTS: Readonly<Record<string, string>> = {
  deaf: 'deaf()\nstay()',
  daemon: `
def detach():
    os.setsid()
    deaf()
    fork(stay)
fork(detach)
stay()`,
  'bounded-fork-bomb': `
deaf()
def double(left):
    for _ in range(left):
        fork(lambda: double(left - 1))
        left -= 1
    stay()
double(7)`,
  'fork-bomb': `
deaf()
while is_confined():
    try:
        if os.fork() == 0:
            born()
    except OSError:
        pass
stay()`,
  silent: `
deaf()
for descriptor in (0, 1, 2):
    os.close(descriptor)
stay()`,
  'becomes-another-program': `
deaf()
born()
program = "import os, signal, time\\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\\ntime.sleep(600)"
subprocess.Popen([sys.executable, "-I", "-c", program], env={}, cwd="/", start_new_session=True, close_fds=False)
os.execve(sys.executable, [sys.executable, "-I", "-c", program], {})`,
  'stops-its-group': `
deaf()
fork(lambda: (deaf(), stay()))
os.killpg(os.getpgrp(), signal.SIGSTOP)
stay()`,
  forks: `
deaf()
for _ in range(20):
    fork(stay)
stay()`,
  'ends-before-its-daemon': `
def detach():
    os.setsid()
    deaf()
    os.chdir("/")
    fork(stay)
    stay()
fork(detach)
time.sleep(0.6)
stay()`,
  'forks-again-and-again': `
deaf()
def chain(left):
    os.setsid()
    deaf()
    time.sleep(0.02)
    if left > 0:
        fork(lambda: chain(left - 1))
    else:
        stay()
for _ in range(3):
    fork(lambda: chain(100))
stay()`,
  'stops-itself': `
deaf()
fork(lambda: (deaf(), stay()))
os.kill(os.getpid(), signal.SIGSTOP)
stay()`,
  floods: `
deaf()
line = "x" * 1000
for _ in range(20_000):
    print(line)
stay()`,
  threads: `
deaf()
for _ in range(50):
    threading.Thread(target=stay).start()
stay()`,
  'stops-its-runner': `
deaf()
if is_confined() or os.getppid() > 1:
    os.kill(os.getppid(), signal.SIGSTOP)
stay()`,
  'traces-its-runner': `
deaf()
PTRACE_ATTACH = 16
if is_confined() or os.getppid() > 1:
    ctypes.CDLL(None).ptrace(PTRACE_ATTACH, os.getppid(), 0, 0)
stay()`,
  'kills-all-that-it-can': `
deaf()
fork(lambda: (deaf(), stay()))
if is_confined():
    os.kill(-1, signal.SIGKILL)
stay()`,
};
