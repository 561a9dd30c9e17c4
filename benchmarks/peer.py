"""Other gateways, each from an environment of its own (`deploy/peer.sh`), as their makers recommend to run them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks import answers
from benchmarks.calls import Identity
from benchmarks.measure import BenchmarkError, Process, free_port
from benchmarks.rounds import Subject

_KEY = "sk-benchmark-0123456789abcdef"
_PATIENCE = 3.0  # its calls take longer: windows that they fit in


def subject(name: str, folder: Path, upstream: str) -> Subject:
    """Raises `BenchmarkError` where it is not installed."""
    home = Path(sys.prefix) / "peers" / name
    if name not in PEERS or not home.exists():
        raise BenchmarkError(f"{name} is not here: `make bench PEER={name}` brings it, if it is one of {list(PEERS)}.")
    return PEERS[name](home, folder, upstream)


def _litellm(home: Path, folder: Path, upstream: str) -> Subject:
    """LiteLLM's proxy: one worker, no database (so it keeps no rows), its page on production for the rest.

    https://docs.litellm.ai/docs/proxy/prod: LITELLM_MODE, LITELLM_LOG, set_verbose, json_logs, request_timeout. The
    price list that it comes with serves: there is no other network here.
    """
    models = (answers.FAST, answers.PACED, answers.LARGE, answers.EMBED)
    config = folder / "litellm.yaml"
    config.write_text(_CONFIG + "".join(_MODEL.format(model=model, upstream=upstream) for model in models))
    port = free_port()
    settings = {
        "LITELLM_MASTER_KEY": _KEY,
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_LOG": "ERROR",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "OPENAI_API_KEY": "none",
    }
    command = [str(home / "bin" / "litellm"), "--config", str(config), "--host", "127.0.0.1"]
    process = Process(
        command=[*command, "--port", str(port), "--num_workers", "1"],
        cwd=folder,
        env=_clean() | settings,
        port=port,
        log=folder / "litellm.log",
    )
    return Subject(name="LiteLLM", kind="peer", process=process, who=Identity(key=_KEY), patience=_PATIENCE)


def _clean() -> dict[str, str]:
    """Without what would make it write rows, and what keeps Python from keeping bytecode: it imports at each call."""
    unset = {"DATABASE_URL", "REDIS_URL", "PYTHONDONTWRITEBYTECODE"}
    return {name: value for name, value in os.environ.items() if name not in unset}


_CONFIG = """\
general_settings:
  master_key: os.environ/LITELLM_MASTER_KEY
litellm_settings:
  request_timeout: 600
  set_verbose: false
  json_logs: true
  telemetry: false
model_list:
"""
_MODEL = """\
- model_name: {model}
  litellm_params:
    model: openai/{model}
    api_base: {upstream}/v1
    api_key: none
"""
PEERS: Mapping[str, Callable[[Path, Path, str], Subject]] = {"litellm": _litellm}
