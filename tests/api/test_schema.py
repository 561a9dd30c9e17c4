"""The OpenAPI schema: it holds every door, it is valid, its examples run, and it says the truth of the answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from aiplatform.documented import OPERATIONS
from aiplatform.documented.operation import Operation
from aiplatform.doors import PREFIXES, ROUTES, door_of
from gateway.doors import health, nowhere
from tests.conftest import NewProduct
from tests.product import Answer, Product

_METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def product(new_product: NewProduct) -> Iterator[Product]:
    """As it was installed: the route `default` answers by the demo provider."""
    with new_product() as running:
        yield running


@pytest.fixture(scope="module")
def schema(product: Product) -> dict[str, Any]:
    answer = product.request(
        "GET", "/api/schema/", key=product.manage_key, headers={"Accept": "application/vnd.oai.openapi+json"}
    )
    assert answer.status == 200
    return json.loads(answer.content)  # type: ignore[no-any-return]  # JSON


def _routes(schema: dict[str, Any]) -> set[tuple[str, str]]:
    return {(method.upper(), path) for path, told in schema["paths"].items() for method in told if method in _METHODS}


def test_it_is_valid(schema: dict[str, Any]) -> None:
    assert schema["openapi"].startswith("3.1")
    assert list(OpenAPIV31SpecValidator(schema).iter_errors()) == []


def test_it_has_every_door(schema: dict[str, Any]) -> None:
    told = _routes(schema)
    missing = {route for route in ROUTES if route not in told and (route[0], route[1].rstrip("/")) not in told}
    missing |= {("GET", path) for path in health.PATHS if ("GET", path) not in told}
    missing |= {
        (method, start)
        for (method, start), door in PREFIXES
        if door.handle is not nowhere.refuse and not any(m == method and p.startswith(start) for m, p in told)
    }

    assert missing == set()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: f"{each.method} {each.path}")
def test_there_is_a_door_for_whatever_it_has(operation: Operation) -> None:
    path = re.sub(r"\{\w+\}", "demo", operation.path)
    scope = {"method": operation.method, "path": path, "query_string": b"", "headers": [(b"x-api-key", b"any")]}

    door = door_of(scope)

    assert (door is not None and door.handle is not nowhere.refuse) or path in health.PATHS


def test_names_of_types_do_not_clash(schema: dict[str, Any], product: Product) -> None:
    """Django's and the data plane's types share one name space: a reference must not change its meaning."""
    operation_ids = [told["operationId"] for path in schema["paths"].values() for told in path.values()]

    assert len(operation_ids) == len(set(operation_ids))
    assert schema["components"]["schemas"]["SpecABody"]["required"] == ["prompt"]
    for kind in ("Route", "Key", "Provider", "Statistics"):  # Django's own
        assert "properties" in schema["components"]["schemas"][kind]


def _url(operation: Operation) -> str:
    path = operation.path
    query = {}
    for parameter in operation.parameters:
        if parameter.place == "path":
            assert parameter.example
            path = path.replace(f"{{{parameter.name}}}", quote(parameter.example))
        elif parameter.example is not None:
            query[parameter.name] = parameter.example
    return f"{path}?{urlencode(query)}" if query else path


def _key(product: Product, operation: Operation) -> str | None:
    return {"call": product.key, "manage": product.manage_key, "": None}[operation.key]


def _set_up(product: Product, operation: Operation) -> None:
    """What the examples of collections stand on: each may have deleted it."""
    if operation.tag == "Vectors":
        for each in OPERATIONS:
            if each.path in {"/v1/vector/collections", "/v1/vector/points"} and each.method == "POST":
                assert product.request("POST", each.path, body=each.example, key=product.key).status == 200


def _check(schema: dict[str, Any], operation: Operation, answer: Answer, status: str) -> None:
    """Raises `jsonschema.ValidationError` where the answer is not what the schema says."""
    registry: Registry[Any] = Registry().with_resource("urn:schema", DRAFT202012.create_resource(schema))
    path = operation.path.replace("~", "~0").replace("/", "~1")
    place = f"/paths/{quote(path)}/{operation.method.lower()}/responses/{status}/content/application~1json/schema"
    Draft202012Validator({"$ref": f"urn:schema#{place}"}, registry=registry).validate(answer.json())


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: f"{each.method} {each.path}")
def test_each_example_runs_and_answers_as_said(product: Product, schema: dict[str, Any], operation: Operation) -> None:
    if operation.method == "POST":
        assert operation.example is not None or operation.body is None
    _set_up(product, operation)

    answer = product.request(operation.method, _url(operation), body=operation.example, key=_key(product, operation))

    assert answer.status == 200, answer.text
    _check(schema, operation, answer, "200")


@pytest.mark.parametrize(
    "operation",
    [each for each in OPERATIONS if each.streams],
    ids=lambda each: f"{each.method} {each.path}",
)
def test_each_stream_has_the_content_type_that_is_said(product: Product, operation: Operation) -> None:
    url = _url(operation) + ("?alt=sse" if ":stream" in operation.path else "")
    body = {**(operation.example or {}), **({} if ":stream" in operation.path else {"stream": True})}

    answer = product.request("POST", url, body=body, key=_key(product, operation))

    assert answer.status == 200, answer.text
    assert answer.headers["content-type"].partition(";")[0] == operation.streams


@pytest.mark.parametrize(
    "operation", [each for each in OPERATIONS if each.key], ids=lambda each: f"{each.method} {each.path}"
)
def test_each_door_refuses_in_the_form_that_is_said(
    product: Product, schema: dict[str, Any], operation: Operation
) -> None:
    if operation.path in health.PATHS:
        return

    answer = product.request(operation.method, _url(operation), body=operation.example, key="sk-wrong")

    assert answer.status == 401
    _check(schema, operation, answer, "default")


@pytest.mark.parametrize(
    "operation", [each for each in OPERATIONS if each.body], ids=lambda each: f"{each.method} {each.path}"
)
def test_a_body_that_is_none_is_refused_in_the_form_that_is_said(
    product: Product, schema: dict[str, Any], operation: Operation
) -> None:
    answer = product.request(operation.method, _url(operation), body={"nonsense": 1}, key=product.key)

    assert answer.status == 400, answer.text
    _check(schema, operation, answer, "default")


def _management(schema: dict[str, Any]) -> Iterator[str]:
    for path, told in schema["paths"].items():
        if "get" in told and "{" not in path and path.startswith("/api/") and path.endswith("/"):
            yield path


def test_the_management_lists_answer_as_said(product: Product, schema: dict[str, Any]) -> None:
    registry: Registry[Any] = Registry().with_resource("urn:schema", DRAFT202012.create_resource(schema))
    wrong = []
    for path in _management(schema):
        content = schema["paths"][path]["get"]["responses"]["200"]["content"]
        if "application/json" not in content:
            continue
        place = f"/paths/{path.replace('/', '~1')}/get/responses/200/content/application~1json/schema"
        validator = Draft202012Validator({"$ref": f"urn:schema#{place}"}, registry=registry)
        answer = product.request("GET", path, key=product.manage_key)
        assert answer.status == 200, (path, answer.text)
        wrong += [(path, error.json_path, error.message) for error in validator.iter_errors(answer.json())]

    assert not wrong, "\n".join(map(str, wrong))


def test_the_page_needs_no_other_host(product: Product) -> None:
    page = product.request("GET", "/api/docs/", key=product.manage_key)

    assert page.status == 200
    assert "http://" not in page.text.replace(product.base_url, "")
    assert "https://" not in page.text
