"""What is done to a pipeline under load. Each fault begins when called and returns when it is over; the load goes on.

Every wait here is the length of a fault, not the ordering of a test.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.chaos import later, observe
from tests.chaos.site import Site
from tests.support.poll import eventually


@dataclass(frozen=True)
class Fault:
    """`does` returns what it found out, for the table."""

    name: str
    does: Callable[[Site], str]
    workers: int = 2
    proxied: int = 0
    disk: int | None = None
    needs_root: bool = False


def _nothing(site: Site) -> str:
    time.sleep(20)
    return ""


def kill_worker(site: Site) -> str:
    """SIGKILL; the other worker has all lanes until a new one comes."""
    site.workers["worker-0"].child.kill()
    began = time.monotonic()
    eventually(lambda: site.lanes() == {"worker-1": set(range(site.LANES))}, 60)
    took = time.monotonic() - began
    time.sleep(3)
    site.add_worker("worker-2")
    site.ready()
    return f"lanes elsewhere after {took:.1f} s"


def freeze_worker(seconds: float) -> Callable[[Site], str]:
    """SIGSTOP past the session time-out, in the middle of a transaction, then SIGCONT: two owners, of whom one does not
    know it.
    """

    def does(site: Site) -> str:
        frozen = site.workers["worker-0"]
        lanes = site.lanes()["worker-0"]

        def in_flight() -> int:
            """Stops it; lets it run on where that was not in the middle of a transaction."""
            frozen.child.freeze()
            hidden = observe.unfinished(site.settings, lanes)
            if hidden:
                time.sleep(0.5)  # a commit that the broker has taken up already is finished without the worker
                hidden = observe.unfinished(site.settings, lanes)
            if not hidden:
                frozen.child.thaw()
                time.sleep(0.13)  # not in step with its commits
            return hidden

        hidden = eventually(in_flight, 60, interval=0)
        began = time.monotonic()
        eventually(lambda: set(site.workers["worker-1"].lanes()) == set(range(site.LANES)), 60)
        took = time.monotonic() - began
        time.sleep(max(1.0, seconds - took))
        frozen.child.thaw()
        site.ready()
        return f"{hidden} records in flight; lanes elsewhere after {took:.1f} s"

    return does


def _lost(site: Site, worker: str) -> int:
    return site.logged(worker).count("lane lost")


def _lanes_lost(site: Site) -> str:
    return f"lanes lost and restored: {sum(_lost(site, name) for name in site.workers)}"


def _kill_broker(site: Site) -> str:
    """SIGKILL of one broker of three, back after ten seconds."""
    site.ground.cluster.nodes[1].kill()
    time.sleep(10)
    site.ground.cluster.start()
    return _lanes_lost(site)


def _kill_brokers(site: Site) -> str:
    """SIGKILL of all brokers: a power cut; back after fifteen seconds."""
    for node in site.ground.cluster.nodes.values():
        node.kill()
    time.sleep(15)
    site.ground.cluster.start()
    site.ready(90)
    return _lanes_lost(site)


def _move_coordinators(site: Site) -> str:
    """The broker that coordinates the workers' group goes down in good order, and comes back ten seconds later."""

    def coordinator() -> int:
        # A new client each time: one that has known a coordinator waits for it when it is gone.
        admin = AdminClient({"bootstrap.servers": site.settings.brokers, "log_level": 0})
        described = admin.describe_consumer_groups([site.settings.group], request_timeout=3)
        return int(described[site.settings.group].result(5).coordinator.id)

    first = coordinator()
    site.ground.cluster.nodes[first].stop()
    second = eventually(coordinator, 30, ignore=(KafkaException,))
    time.sleep(10)
    site.ground.cluster.start()
    return f"from broker {first} to {second}; {_lanes_lost(site)}"


def _storm(site: Site) -> str:
    """Workers come and go every few seconds, one half of them by SIGKILL."""
    began = time.monotonic()
    rounds = 0
    while time.monotonic() - began < 40:
        guest = site.add_worker(f"guest-{rounds}")
        guest.child.wait_until(guest.lanes, 40)
        time.sleep(1)
        if rounds % 2:
            guest.child.kill()
        else:
            guest.child.stop()
        rounds += 1
    site.ready()
    return f"{2 * rounds} joined or left"


def upgrade(seconds: float) -> Callable[[Site], str]:
    """One worker after the other is replaced by one of the next version, then back again; both run side by side for some
    time, twice.
    """

    def does(site: Site) -> str:
        source = later.make(site.folder / "later")
        for old, new, to in (
            ("worker-0", "later-0", source),
            ("worker-1", "later-1", source),
            ("later-0", "worker-2", None),
            ("later-1", "worker-3", None),
        ):
            site.workers[old].child.stop()
            site.add_worker(new, source=to)
            site.ready()
            time.sleep(seconds)
        had, schemas = observe.versions(site.settings)
        for lane in range(site.LANES):
            first, *between, last = had[lane]
            assert first == last != later.VERSION, f"lane {lane} was with {had[lane]}"
            assert later.VERSION in between, f"lane {lane} was with {had[lane]}"
        assert schemas == 2, f"states stand under {schemas} schemas"
        changes = sum(len(owners) - 1 for owners in had.values())
        return f"{changes} changes of version on {site.LANES} lanes"

    return does


def _store_outage(site: Site) -> str:
    """SIGKILL of the store, back after three minutes; how much the sink holds meanwhile."""
    assert site.store is not None
    assert site.sink is not None
    sink = psutil.Process(site.sink.pid)
    before = most = sink.memory_info().rss
    site.store.kill()
    for _ in range(180):
        time.sleep(1)
        most = max(most, sink.memory_info().rss)
    site.start_store()
    return f"{_caught_up(site)}; the sink held {before >> 20} MiB before and {most >> 20} MiB at most"


def _caught_up(site: Site) -> str:
    began = time.monotonic()
    wanted = site.said()
    eventually(lambda: site.in_store(wanted), 60, interval=0.2)
    return f"caught up {time.monotonic() - began:.1f} s after its end"


def _kill_sink(site: Site) -> str:
    """SIGKILL again and again."""
    for _ in range(4):
        assert site.sink is not None
        site.sink.kill()
        site.start_sink()
        time.sleep(4)
    return _caught_up(site)


def _fill_disk(site: Site) -> str:
    """The store's disk is full to the last byte for 20 seconds; then there is room again, and the store is started anew, as
    docs/operations.md has it: a merge that met the end of the disk can leave a part that cannot be read.
    """
    ballast = Path(site.store_folder) / "ballast"
    began = time.monotonic()
    with ballast.open("wb", buffering=0) as file:
        while time.monotonic() - began < 20:
            for size in (1 << 20, 4096, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
            time.sleep(0.05)
    assert site.sink is not None
    assert os.statvfs(site.store_folder).f_bfree == 0, "the disk is not full"
    failed = site.sink.output().count("the sink waits")
    os.unlink(ballast)
    assert site.store is not None
    site.store.stop()
    site.start_store()
    return f"{failed} inserts refused; {_caught_up(site)}"


def _pause_network(seconds: float) -> Callable[[Site], str]:
    def does(site: Site) -> str:
        for proxy in site.ground.proxies:
            proxy.pause()
        time.sleep(seconds)
        for proxy in site.ground.proxies:
            proxy.resume()
        site.ready()
        return _lanes_lost(site)

    return does


FAULTS: Final = (
    Fault("none", _nothing),
    Fault("worker killed", kill_worker),
    Fault("worker frozen 15 s", freeze_worker(15)),
    Fault("workers come and go", _storm),
    Fault("upgrade and rollback", upgrade(5)),
    Fault("network of a worker hangs 3 s", _pause_network(3), proxied=1),
    Fault("network of a worker hangs 15 s", _pause_network(15), proxied=1),
    Fault("broker killed", _kill_broker),
    Fault("coordinator moves", _move_coordinators),
    Fault("all brokers killed", _kill_brokers),
    Fault("sink killed", _kill_sink),
    Fault("store killed for 180 s", _store_outage),
    Fault("store's disk full", _fill_disk, disk=96 << 20, needs_root=True),
)
