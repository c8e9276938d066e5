"""Metrics for Prometheus, out of the snapshot that the daemon composes anyway.

They need the package prometheus-client (`pip install 'kbd[metrics]'`), and are off unless a file or a port is set.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kbd.daemon.config import MetricsSettings
from kbd.daemon.headroom import free_bytes

if TYPE_CHECKING:
    from prometheus_client.core import GaugeMetricFamily

LOCALHOST: Final = "127.0.0.1"
DEVICE_STATES: Final = ("free", "busy", "examined", "out")


class MetricsUnavailable(Exception):
    """Metrics were asked for and cannot be given; the message says what to do."""


class Metrics:
    """The latest figures, in a file and on a port, as the settings say. Raises MetricsUnavailable.

    Args:
        settings: at least one of file and port is set.
        folders: whose free space is told, by name.
    """

    def __init__(self, settings: MetricsSettings, folders: Mapping[str, Path]) -> None:
        try:
            import prometheus_client
        except ImportError:
            raise MetricsUnavailable(
                "metrics need the package prometheus-client: pip install 'kbd[metrics]', or unset metrics.file and "
                "metrics.port"
            ) from None
        self._client = prometheus_client
        self._file = settings.file
        self._folders = folders
        self._report: Mapping[str, Any] = {}
        self._registry = prometheus_client.CollectorRegistry()
        self._registry.register(self)
        prometheus_client.ProcessCollector(registry=self._registry)
        self._server = self._serve(settings.port) if settings.port is not None else None

    def update(self, report: Mapping[str, Any]) -> None:
        """New figures; the file is replaced. In a thread of its own. Raises OSError."""
        self._report = report
        if self._file is not None:
            self._client.write_to_textfile(str(self._file), self._registry)

    def close(self) -> None:
        """Serve no more. The file stays, with the time of its last figures in it."""
        if self._server is not None:
            server, thread = self._server
            server.shutdown()
            server.server_close()
            thread.join()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Called by the registry, in whichever thread asks."""
        report = self._report
        if not report:
            return
        yield from _about(report)
        yield _by_label("kbd_jobs", "Jobs in each state.", "state", report["queue"])
        yield _by_label("kbd_results", "Jobs that ended, by verdict.", "status", report["results"])
        states = Counter(device["state"] for device in report["devices"])
        counts = dict.fromkeys(DEVICE_STATES, 0) | states
        yield _by_label("kbd_devices", "Devices in each state.", "state", counts)
        yield _by_label("kbd_free_bytes", "Free space of file systems.", "folder", self._free())

    def _free(self) -> dict[str, int]:
        found = {}
        for name, folder in self._folders.items():
            try:
                found[name] = free_bytes(folder)
            except OSError:
                continue
        return found

    def _serve(self, port: int) -> Any:
        try:
            return self._client.start_http_server(port, addr=LOCALHOST, registry=self._registry)
        except OSError as error:
            raise MetricsUnavailable(
                f"metrics cannot be served on {LOCALHOST}:{port}: {error.strerror}; choose another metrics.port"
            ) from None


def _about(report: Mapping[str, Any]) -> Iterator[GaugeMetricFamily]:
    daemon = report["daemon"]
    yield _by_label("kbd_build_info", "The version of kbd.", "version", {daemon["version"]: 1})
    started = datetime.fromisoformat(daemon["started_at"]).timestamp()
    yield _single("kbd_start_time_seconds", "When the daemon was started.", started)
    yield _single("kbd_report_time_seconds", "When these figures were taken.", time.time())
    yield _single(
        "kbd_held", "Whether jobs are kept waiting: pause, drain or trouble.", bool(report["paused"])
    )


def _single(name: str, meaning: str, value: float) -> GaugeMetricFamily:
    from prometheus_client.core import GaugeMetricFamily

    return GaugeMetricFamily(name, meaning, value=float(value))


def _by_label(name: str, meaning: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(name, meaning, labels=[label])
    for key, value in values.items():
        family.add_metric([key], float(value))
    return family
