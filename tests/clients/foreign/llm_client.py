"""The command `llm`, told of the platform by its file of further OpenAI models, as its documentation says."""

from __future__ import annotations

import ast
import base64
import json
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

from llm.cli import cli

from tests.clients.foreign.protocol import PERSON, PNG, QUESTION, WEATHER, Json, Order, serve

TOOL = f'''
def weather(city: str) -> str:
    """The weather in a city."""
    return {WEATHER!r}[city]
'''


class CommandError(Exception):
    """It ended with a code other than 0; the message is what it printed."""


class Printed(NamedTuple):
    """`pieces` are those of `out`, as they came."""

    out: str
    err: str
    pieces: list[str]


def plain(order: Order) -> Json:
    return _told(_ask(order, QUESTION, "--usage", "--no-stream"))


def stream(order: Order) -> Json:
    printed = _ask(order, QUESTION, "--usage")
    return {**_told(printed), "pieces": printed.pieces}


def tools(order: Order) -> Json:
    return _tool_loop(order, "--no-stream")


def tools_streamed(order: Order) -> Json:
    return _tool_loop(order)


def structured(order: Order) -> Json:
    return {"value": json.loads(_ask(order, "Who is it?", "--schema", json.dumps(PERSON), "--no-stream").out)}


def image(order: Order) -> Json:
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        file.write(base64.b64decode(PNG))
        file.flush()
        return _told(_ask(order, "What is it?", "--attachment", file.name, "--usage", "--no-stream"))


def embed(order: Order) -> Json:
    """Its models for embeddings have fixed names."""
    said = [_llm(order, "embed", "--model", "3-small", "--content", text).out for text in ("one", "two")]
    return {"vectors": [json.loads(vector) for vector in said]}


def _tool_loop(order: Order, *options: str) -> Json:
    printed = _ask(order, QUESTION, "--functions", TOOL, "--tools-debug", *options)
    calls = re.findall(r"Tool call: (\w+)\((.*?)\)$", printed.err, re.MULTILINE)
    return {"text": printed.out.strip(), "calls": [[name, ast.literal_eval(arguments)] for name, arguments in calls]}


def _told(printed: Printed) -> Json:
    used = re.search(r"Token usage: ([\d,]+) input, ([\d,]+) output", printed.err)
    assert used is not None, printed.err
    return {"text": printed.out.strip(), "usage": [int(number.replace(",", "")) for number in used.groups()]}


def _ask(order: Order, *words: str) -> Printed:
    return _llm(order, "prompt", "--model", "platform", *words)


def _llm(order: Order, *words: str) -> Printed:
    """Run the command in a fork of this process, which has imported it already: that takes seconds."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as err:
        _configure(Path(folder), order)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            _become_the_command(words, folder, base_url=order.base_url, out=writer, err=err.fileno())
        os.close(writer)
        pieces = [piece.decode() for piece in iter(lambda: os.read(reader, 4096), b"")]
        os.close(reader)
        _, status = os.waitpid(child, 0)
        err.seek(0)
        printed = err.read().decode()
    if status:
        raise CommandError(printed)
    return Printed("".join(pieces), printed, pieces)


def _become_the_command(words: Sequence[str], folder: str, *, base_url: str, out: int, err: int) -> NoReturn:
    os.environ |= {"LLM_USER_PATH": folder, "OPENAI_BASE_URL": f"{base_url}/v1"}
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # it would wait for a prompt there
    os.dup2(out, 1)
    os.dup2(err, 2)
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
    code: object = 1
    try:
        cli.main([*words], prog_name="llm")
    except SystemExit as ended:
        code = ended.code
    finally:
        sys.stdout.flush()
        os._exit(code if isinstance(code, int) else 0)


def _configure(folder: Path, order: Order) -> None:
    model = {"model_id": "platform", "model_name": order.model, "api_base": f"{order.base_url}/v1"}
    able = {"supports_tools": True, "supports_schema": True, "vision": True}
    (folder / "keys.json").write_text(json.dumps({"platform": order.key, "openai": order.key}))
    written = json.dumps([model | able | {"api_key_name": "platform"}])  # JSON is YAML
    (folder / "extra-openai-models.yaml").write_text(written)


if __name__ == "__main__":
    serve({each.__name__: each for each in (plain, stream, tools, tools_streamed, structured, image, embed)})
