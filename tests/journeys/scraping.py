"""What Prometheus is told."""

from __future__ import annotations

import http.client
from collections import defaultdict

from prometheus_client.parser import text_string_to_metric_families

from tests.servers import PATIENCE_S


def scrape(port: int) -> dict[str, dict[tuple[str, ...], float]]:
    """Samples by name, then by the values of their labels in the labels' order of name."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    found: dict[str, dict[tuple[str, ...], float]] = defaultdict(dict)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name][tuple(sample.labels[name] for name in sorted(sample.labels))] = sample.value
    return found
