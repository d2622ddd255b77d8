"""A SLURM of its own on this machine, for tests: a controller and emulated nodes, up for as long as a test needs them."""

import os
import shutil
import signal
import socket
import subprocess
import time
import unittest
from contextlib import ExitStack
from pathlib import Path

PROGRAMS = ("munged", "munge", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol")
START_SECONDS = 30

# Neither systemd nor cgroups nor a database. cred_expire is what a requeued job waits for at least.
CONFIGURATION = """
ClusterName=test
SlurmctldHost=localhost
SlurmUser=root
SlurmctldPort={ports[0]}
AuthInfo=socket={folder}/munge/munge.socket.2,cred_expire=5
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd.%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.%n.log
MailProg=/bin/true
ReturnToService=2
SlurmdTimeout={node_timeout}
SchedulerParameters=sched_interval=1,batch_sched_delay=0,bf_interval=1
NodeName=n[0-{last}] NodeHostname=localhost NodeAddr=127.0.0.1 Port=[{ports[1]}-{last_port}] CPUs={cpus}
PartitionName=main Nodes=ALL Default=YES
"""


def _program(name):
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def why_not():
    """Why no SLURM can be started here; "" where one can."""
    missing = [name for name in PROGRAMS if not _program(name)]
    if missing:
        return f"{', '.join(missing)} not installed (apt-get install slurm-wlm munge)"
    return "" if os.geteuid() == 0 else "starting a SLURM takes root"


needs_slurm = unittest.skipIf(why_not(), why_not())


def _free_ports(count):
    """The first of `count` ports in a row that nobody listens on."""
    for first in range(21000 + os.getpid() % 5000, 32000, count):
        with ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
        return first
    raise RuntimeError("no free ports for SLURM")


class SlurmMachine:
    """`with SlurmMachine(folder) as slurm:` -- `slurm.environment` is what SLURM's commands need to find it."""

    def __init__(self, folder, nodes=2, cpus=None, node_timeout=10):
        self.folder = Path(folder)
        self.nodes = [f"n{i}" for i in range(nodes)]
        self.cpus = cpus or os.cpu_count()
        self.node_timeout = node_timeout  # seconds until a node that does not answer is down
        self.daemons = {}
        self.environment = {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf"),
                            "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"}

    def __enter__(self):
        for name in ("munge", "state", "spool", "log", "run"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)  # munge refuses folders that others may write to, and its clients must get in
        first = _free_ports(1 + len(self.nodes))
        (self.folder / "slurm.conf").write_text(CONFIGURATION.format(
            folder=self.folder, ports=(first, first + 1), last=len(self.nodes) - 1, last_port=first + len(self.nodes),
            cpus=self.cpus, node_timeout=self.node_timeout))
        try:
            self._start_munge()
            self._start("slurmctld", "-D")
            for node in self.nodes:
                self.start_node(node)
            self._wait("nodes", lambda: self.command("sinfo", "-h", "-N", "-o", "%T").split() == ["idle"] * len(self.nodes))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for name in [*self.nodes, "slurmctld", "munged"]:
            self._stop(name)

    def command(self, *command):
        """What a SLURM command prints; "" where it fails."""
        done = subprocess.run(command, env=self.environment, text=True, capture_output=True, check=False, timeout=60)
        return done.stdout if done.returncode == 0 else ""

    def start_node(self, node):
        self._start("slurmd", "-D", "-N", node, name=node)

    def kill_node(self, node):
        """As if the machine had lost its power: its daemon and all of its tasks are gone."""
        daemon = self.daemons.pop(node)
        daemon.kill()
        daemon.wait()
        for process in self.tasks_of(node):
            process_group_kill(process)

    def tasks_of(self, node):
        """Process ids of the step daemons of a node (their children are the tasks)."""
        found = []
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            try:
                variables = (folder / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if f"SLURM_CONF={self.folder}/slurm.conf".encode() in variables and f"SLURMD_NODENAME={node}".encode() in variables:
                found.append(int(folder.name))
        return found

    def _start_munge(self):
        munge = self.folder / "munge"
        key = munge / "munge.key"
        with open(os.open(key, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            file.write(os.urandom(128))
        socket_path = munge / "munge.socket.2"
        self._start("munged", "-F", f"--key-file={key}", f"--socket={socket_path}", f"--pid-file={munge}/munged.pid",
                    f"--log-file={munge}/munged.log", f"--seed-file={munge}/munged.seed")
        self._wait("munge", lambda: subprocess.run([_program("munge"), "-n", "-S", str(socket_path)], check=False,
                                                   capture_output=True).returncode == 0)

    def _start(self, program, *options, name=None):
        name = name or program
        configuration = ["-f", str(self.folder / "slurm.conf")] if program.startswith("slurm") else []
        with open(self.folder / "log" / f"{name}.out", "ab") as log:
            self.daemons[name] = subprocess.Popen(
                [_program(program), *options, *configuration], env=self.environment, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True)

    def _stop(self, name):
        daemon = self.daemons.pop(name, None)
        if daemon is None:
            return
        daemon.terminate()
        try:
            daemon.wait(timeout=10)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def _wait(self, what, is_there):
        deadline = time.monotonic() + START_SECONDS
        while not is_there():
            if time.monotonic() > deadline:
                raise RuntimeError(f"SLURM's {what} did not come up in {START_SECONDS} s: see {self.folder}/log")
            time.sleep(0.05)


def process_group_kill(process):
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        pass
