"""What the integration tests share: a coordinator of their own, the command line, small jobs, checks that print what failed."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SOURCE = os.environ.get("SYNCLINE_SOURCE_DIR") or os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BIN = os.environ.get("SYNCLINE_BIN_DIR") or os.path.join(SOURCE, "build/release/bin")
SYNCLINE = os.path.join(BIN, "syncline")
WORKER = os.path.join(BIN, "syncline-worker")
DIGITS = os.path.join(SOURCE, "docs/examples/digits.yaml")
# A job of a second or so; tests add what they need.
SMALL = ["--set", "data.n_train=2000", "--set", "data.n_test=500", "--set", "train.epochs=0", "--set", "train.max_steps=60",
         "--set", "threads=1"]
MPIRUN = ["mpirun", "--oversubscribe", "--bind-to", "none", "--mca", "mpi_yield_when_idle", "1"]

failures = 0


def check(condition, text):
    """Counts and prints a failed expectation; the test goes on, so that one run shows all of them."""
    global failures
    if not condition:
        failures += 1
        print("FAILED: " + text, flush=True)
    return bool(condition)


def finish(folder=None):
    if folder and not failures:
        shutil.rmtree(folder, ignore_errors=True)
    elif folder:
        print("files kept in " + folder)
    print("%d failed expectation(s)" % failures)
    sys.exit(1 if failures else 0)


def skip(reason):
    print("skipped: " + reason)
    sys.exit(77)


def shared():
    """The folder with the reference data, None on a machine that has none."""
    for path in (os.environ.get("SYNCLINE_SHARED"), os.path.join(SOURCE, "..", "shared")):
        if path and os.path.isdir(path):
            return os.path.abspath(path)
    return None


def scratch():
    return tempfile.mkdtemp(prefix="syncline-test-")


def cli(*words, address=None, timeout=120, **more):
    """Runs `syncline ...`; returns the finished process with text output."""
    env = dict(os.environ, **more.pop("env", {}))
    if address:
        env["SYNCLINE_ADDRESS"] = address
    return subprocess.run([SYNCLINE, *map(str, words)], capture_output=True, text=True, timeout=timeout, env=env,
                          stdin=subprocess.DEVNULL, **more)


def cli_json(*words, address=None, timeout=120, **more):
    done = cli(*words, "--json", address=address, timeout=timeout, **more)
    try:
        return json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        raise SystemExit("no JSON from syncline %s: exit %d\n%s\n%s" % (" ".join(map(str, words)), done.returncode, done.stdout,
                                                                      done.stderr))


def wait_until(condition, what, timeout=60):
    """Polls; False (and a failed expectation) when it does not come true in time."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    return check(False, "in %g s: %s" % (timeout, what))


class Coordinator:
    """`syncline serve` on a unix socket (or TCP with listen=...), started again as often as the test likes."""

    def __init__(self, folder, *options, listen=None):
        self.state_dir = os.path.join(folder, "state")
        self.listen = listen or "unix://" + os.path.join(folder, "grpc.sock")
        self.options = list(options)
        self.log = open(os.path.join(folder, "serve.log"), "ab")
        self.process = None
        self.address = None
        self.http = None
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [SYNCLINE, "serve", "--state-dir", self.state_dir, "--listen", self.listen, "--http", "127.0.0.1:0", "--json",
             *self.options], stdout=subprocess.PIPE, stderr=self.log, stdin=subprocess.DEVNULL, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("the coordinator did not start; see %s:\n%s" % (self.log.name, open(self.log.name).read()[-2000:]))
        ready = json.loads(line)
        self.address, self.http = ready["address"], ready.get("http")
        self.listen = self.address  # the same port when it is started again

    def kill(self, how=signal.SIGKILL):
        self.process.send_signal(how)
        self.process.wait(timeout=30)
        self.process.stdout.close()

    def stop(self):
        if self.process.poll() is None:
            self.kill(signal.SIGTERM)
        self.log.close()

    def submit(self, *words, **more):
        return cli_json("submit", *words, address=self.address, **more)["job_id"]

    def job(self, job_id):
        return cli_json("show", job_id, address=self.address)

    def wait(self, job_id, timeout=120):
        done = cli("wait", job_id, "--timeout", timeout, address=self.address, timeout=timeout + 30)
        return done.returncode, self.job(job_id)


class Pool:
    """`mpirun -np N syncline-worker --coordinator ADDRESS`."""

    def __init__(self, folder, n, address):
        self.log_path = os.path.join(folder, "pool.log")
        self.log = open(self.log_path, "ab")
        env = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMP_NUM_THREADS="1")
        self.process = subprocess.Popen(MPIRUN + ["-np", str(n), WORKER, "--coordinator", address], stdout=self.log,
                                        stderr=self.log, stdin=subprocess.DEVNULL, env=env, start_new_session=True)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()


def read_losses(run_dir):
    """step -> training loss of metrics.csv, as text, so that comparisons are exact."""
    lines = open(os.path.join(run_dir, "metrics.csv")).read().splitlines()
    names = lines[0].split(",")
    step, loss = names.index("step"), names.index("train_loss")
    return {row.split(",")[step]: row.split(",")[loss] for row in lines[1:] if row.split(",")[loss]}
