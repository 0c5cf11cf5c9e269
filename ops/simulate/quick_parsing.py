"""Patches that make moto's parsing fast: the app repeats a few dozen expressions.

- An update expression is parsed once. Each use gets a copy of the tree, because moto changes the tree.
- A condition is split into words once.
- The patch looks up once what a tree walker does with each type of node, and does not descend further than the walker
  looks.
"""

from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from moto.dynamodb.comparisons import ConditionExpressionParser
from moto.dynamodb.parsing.ast_nodes import (  # type: ignore[attr-defined]
    DepthFirstTraverser,
    Node,
    UpdateExpression,
)
from moto.dynamodb.parsing.expressions import UpdateExpressionParser  # type: ignore[attr-defined]

_make = UpdateExpressionParser.make
_lex = ConditionExpressionParser._lex_condition_expression


@lru_cache(maxsize=1024)
def _made(expression: str) -> Any:
    return _make(expression)


@lru_cache(maxsize=1024)
def _words(expression: str) -> tuple[Any, ...]:
    return tuple(_lex(ConditionExpressionParser(expression, None, None)))


def _lex_once(self: ConditionExpressionParser) -> "deque[Any]":
    return deque(word._replace(children=[]) for word in _words(self.condition_expression))


def _copied(self: Node, _memo: dict[int, Any]) -> Node:
    copied: Node = self.__class__.__new__(self.__class__)
    copied.__dict__.update(self.__dict__)
    copied.parent = None
    if self.children is not None:
        copied.children = [_copied(child, _memo) if isinstance(child, Node) else child for child in self.children]
        for child in copied.children:
            if isinstance(child, Node):
                child.parent = copied
    return copied


def _processor(self: DepthFirstTraverser, kind: type) -> Callable[[Any], Any] | None:
    """Return what a walker does with a type of node; None if it does nothing.

    The walker's map names the type or one of its base classes.
    """
    known: dict[type, Callable[[Any], Any] | None] = self.__dict__.setdefault("_known_kinds", {})
    if kind not in known:
        handlers = self._processing_map()
        known[kind] = next((handler for named, handler in handlers.items() if issubclass(kind, named)), None)
    return known[kind]


def _walk(self: DepthFirstTraverser, tree: Any) -> Any:
    if self._processing_map().keys() == {UpdateExpression}:
        return _processor(self, type(tree))(tree)  # type: ignore[misc]
    return _traverse(self, tree)


def _traverse(self: DepthFirstTraverser, node: Any, child_id: int = -1) -> Any:
    if not isinstance(node, Node):
        return node
    parent = node.parent
    for place, child in enumerate(node.children or ()):
        self.pre_processing_of_child(node, place)
        if isinstance(child, Node):
            _traverse(self, child, place)
    processor = _processor(self, type(node))
    if processor is not None:
        node = processor(node)
        node.parent = parent
        if parent:
            parent.children[child_id] = node
    return node


PATCHES: tuple[tuple[type, str, object], ...] = (
    (UpdateExpressionParser, "make", staticmethod(_made)),
    (ConditionExpressionParser, "_lex_condition_expression", _lex_once),
    (Node, "__deepcopy__", _copied),
    (DepthFirstTraverser, "traverse", _walk),
)
