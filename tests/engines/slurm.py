"""A Slurm cluster of one node on this machine, for the duration of a test.

Everything runs as the current user, without other rights: munged, slurmctld and slurmd have their keys, sockets,
ports, states and logs in a temporary directory, so that several clusters can run at once.
"""

import contextlib
import os
import pwd
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from tests.engines import daemons

PROGRAMS = ("munged", "slurmctld", "slurmd", "sinfo", "sbatch", "srun", "squeue", "scancel", "scontrol")


def missing() -> str | None:
    """Missing programs, and how to install them; None if all are installed."""
    names = [name for name in PROGRAMS if shutil.which(name, path=daemons.PATH) is None]
    return f"no {', '.join(names)}: apt-get install slurm-wlm munge" if names else None


@contextlib.contextmanager
def running(cpus: int | None = None, **settings: str) -> Iterator[dict[str, str]]:
    """Start Slurm with one idle node; yield the environment variables for its commands.

    `cpus` may be more than the machine has; `settings` are written to slurm.conf, such as MinJobAge="2". At the end all
    processes with these variables are killed.
    """
    with daemons.daemons("SLURM_CONF", "slurm.conf") as slurm:
        place = slurm.place
        place.chmod(0o711)  # munged refuses a socket that others cannot reach
        (place / "slurm.conf").write_text(_configuration(place, cpus or os.cpu_count() or 1, settings))
        slurm.start("munged", "--foreground", *_munge(place))
        slurm.wait((place / "munge.socket").exists)
        slurm.start("slurmctld", "-D")
        slurm.start("slurmd", "-D")
        slurm.wait(lambda: slurm.output("sinfo", "--noheader", "--format=%T") == "idle")
        yield {"SLURM_CONF": f"{place}/slurm.conf"}


def _munge(place: Path) -> list[str]:
    """Create a key; return the options of munged for files in `place`."""
    (place / "munge.key").touch(mode=0o600)
    (place / "munge.key").write_bytes(os.urandom(128))
    files = {"key-file": "key", "log-file": "log", "pid-file": "pid", "seed-file": "seed", "socket": "socket"}
    return [f"--{option}={place}/munge.{ending}" for option, ending in files.items()]


def _configuration(place: Path, cpus: int, settings: dict[str, str]) -> str:
    """The content of slurm.conf; jobs start and end within two seconds."""
    user, host = pwd.getpwuid(os.geteuid()).pw_name, socket.gethostname().split(".")[0]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    controller, node = _free_ports(2)
    chosen = {
        "ClusterName": "tests",
        "SlurmctldHost": f"{host}(127.0.0.1)",
        "SlurmctldPort": controller,
        "SlurmdPort": node,
        "SlurmUser": user,
        "SlurmdUser": user,
        "AuthType": "auth/munge",
        "AuthInfo": f"socket={place}/munge.socket",
        "StateSaveLocation": f"{place}/state",
        "SlurmdSpoolDir": f"{place}/spool",
        "SlurmctldPidFile": f"{place}/slurmctld.pid",
        "SlurmdPidFile": f"{place}/slurmd.pid",
        "SlurmctldLogFile": f"{place}/slurmctld.log",
        "SlurmdLogFile": f"{place}/slurmd.log",
        "ProctrackType": "proctrack/linuxproc",
        "TaskPlugin": "task/none",
        "MailProg": "/bin/true",
        "SelectType": "select/cons_tres",
        "SelectTypeParameters": "CR_Core",
        "SlurmdParameters": "config_overrides",  # as many CPUs as configured, not as many as exist
        "SchedulerParameters": "sched_interval=1,batch_sched_delay=0,bf_interval=1",
        "ReturnToService": 2,
        "KillWait": 5,
        **settings,
    }
    lines = [f"{key}={value}" for key, value in chosen.items()]
    lines.append(f"NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory}")
    lines.append(f"PartitionName=debug Nodes={host} Default=YES MaxTime=INFINITE State=UP")
    return "\n".join(lines) + "\n"


def _free_ports(count: int) -> list[int]:
    """Different free ports."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("", 0))
        return [each.getsockname()[1] for each in sockets]
