"""The data plane's part of the OpenAPI schema: a hook of drf-spectacular, which knows Django's part alone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from aiplatform.documented.operation import Operation, Parameter

_REF = "#/components/schemas/{name}"
_OF_A_DOOR = re.compile(r"gateway\.doors\.(\w+)\.(\w+)")  # classes of one name: msgspec tells them by their modules
_SCHEMES = {
    "bearerKey": {"type": "http", "scheme": "bearer", "description": "A key, or a JSON Web Token."},
    "headerKey": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "A key."},
    "googleKey": {"type": "apiKey", "in": "header", "name": "x-goog-api-key", "description": "A key."},
    "queryKey": {"type": "apiKey", "in": "query", "name": "key", "description": "A key."},
}
_KEYS: list[dict[str, list[str]]] = [{name: []} for name in _SCHEMES]
_HEADERS = {
    "X-Request-ID": {"description": "The caller's own, or a new one.", "schema": {"type": "string"}},
}


def add_doors(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A post-processing hook: `result` with the data plane's paths, types and keys, and everybody's errors."""
    from aiplatform.documented import OPERATIONS  # noqa: PLC0415  # many types, that only the schema needs
    from aiplatform.documented.operation import PlainError  # noqa: PLC0415  # as above

    _say_null_as_json_schema_does(result)
    types = _Types(OPERATIONS)
    components = result.setdefault("components", {})
    components.setdefault("schemas", {}).update(types.components)
    components.setdefault("securitySchemes", {}).update(_SCHEMES)
    paths: dict[str, Any] = result["paths"]
    for operations in paths.values():
        for told in operations.values():
            told["responses"].setdefault("default", _error(types.schema(PlainError)))
            told["security"] = [{name: []} for each in told["security"] for name in each]  # each alone will do
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation, types)
    result["servers"] = [{"url": "/"}]
    result["tags"] = [{"name": tag} for tag in dict.fromkeys(operation.tag for operation in OPERATIONS)]  # shown first
    return result


def _say_null_as_json_schema_does(schema: Any) -> None:
    """Paginators describe themselves in the words of OpenAPI 3.0, which 3.1 does not know."""
    if isinstance(schema, dict):
        if schema.pop("nullable", False) is True:
            schema["type"] = [schema["type"], "null"]
        schema = list(schema.values())
    if isinstance(schema, list):
        for each in schema:
            _say_null_as_json_schema_does(each)


class _Types:
    """The JSON Schemas of all types that the operations name."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        named = [each for told in operations for each in (told.body, told.answer, told.error) if each is not None]
        used = [kind for each in named for kind in (each if isinstance(each, tuple) else (each,))]
        self._types = list({str(each): each for each in used}.values())
        schemas, components = msgspec.json.schema_components(self._types, ref_template=_REF)
        self._schemas = dict(zip(map(str, self._types), map(_renamed, schemas), strict=True))
        self.components: dict[str, Any] = {
            _name(name): {**_renamed(schema), "title": _name(name)} for name, schema in components.items()
        }

    def schema(self, kind: Any) -> dict[str, Any]:
        if isinstance(kind, tuple):
            return {"anyOf": [self.schema(each) for each in kind]}
        schema: dict[str, Any] = self._schemas[str(kind)]
        return schema


def _renamed(schema: Any) -> Any:
    """With the names of `_name`, in titles and references too."""
    if isinstance(schema, dict):
        return {key: _renamed(value) for key, value in schema.items()}
    if isinstance(schema, list | tuple):
        return [_renamed(each) for each in schema]
    return _name(schema) if isinstance(schema, str) else schema


def _name(text: str) -> str:
    """`gateway.doors.spec_a.Body` -> `SpecABody`."""
    return _OF_A_DOOR.sub(lambda found: found[1].title().replace("_", "") + found[2], text)


def _described(operation: Operation, types: _Types) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": _operation_id(operation),
        "summary": operation.summary,
        "tags": [operation.tag],
        "responses": {
            **{str(status): _answer(operation, types, status) for status in operation.answers},
            "default": _error(types.schema(operation.error)),
        },
        "security": _KEYS if operation.key else [{}],
    }
    if operation.key == "manage":
        described["description"] = "For keys with the manage scope."
    if operation.parameters:
        described["parameters"] = [_parameter(each) for each in operation.parameters]
    if operation.body is not None:
        content = {"schema": types.schema(operation.body), "example": operation.example}
        described["requestBody"] = {"required": True, "content": {"application/json": content}}
    return described


def _operation_id(operation: Operation) -> str:
    words = re.findall(r"\w+", operation.path)
    return "_".join([operation.method.lower(), *words])


def _answer(operation: Operation, types: _Types, status: int) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": types.schema(operation.answer)}}
    if operation.streams:
        content[operation.streams] = {"schema": {"type": "string", "description": "The same in parts, as they come."}}
    return {"description": HTTPStatus(status).phrase, "headers": _HEADERS, "content": content}


def _error(schema: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": schema}}
    return {"description": "What went wrong, and its code.", "headers": _HEADERS, "content": content}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.description,
        "required": parameter.place == "path",
        "schema": {"type": "string", **({"format": parameter.format} if parameter.format else {})},
    }
    if parameter.example is not None:
        described["example"] = parameter.example
    return described
