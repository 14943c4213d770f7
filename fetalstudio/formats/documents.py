"""JSON and XML from outside, which may be anything: bounded, and without entities."""

from __future__ import annotations

import json
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

MAX_BYTES = 64 * 2**20
_DEEPEST = 64


def parse_json(data: bytes) -> Any:
    """The value in a JSON file. Raises ``ValueError`` for what is no strict JSON."""
    try:
        return json.loads(data.decode("utf-8-sig"), parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise ValueError("it is not text in UTF-8") from error
    except json.JSONDecodeError as error:
        raise ValueError(
            f"it is damaged at line {error.lineno}, column {error.colno} ({error.msg})"
        ) from error


def parse_xml(data: bytes) -> Element:
    """The root of an XML file. Raises ``ValueError`` for what is no XML or declares entities, by
    which a small file could unpack to gigabytes or read other files."""
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    depth = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST:
            raise ValueError("it is nested too deeply")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    def entity(*_: object) -> None:
        raise ValueError("it declares entities")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.EntityDeclHandler = entity
    try:
        parser.Parse(data, True)
        return builder.close()
    except (expat.ExpatError, AssertionError, LookupError) as error:
        raise ValueError(f"it is not XML: {error}") from error


def _refuse(constant: str) -> None:
    raise ValueError(f"it holds {constant}, which is no number")
