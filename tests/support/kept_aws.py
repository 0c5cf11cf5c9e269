"""The state of moto's AWS, saved once and restored in many tests."""

import copyreg
import io
import pickle
from collections.abc import Iterator
from threading import RLock
from types import FunctionType
from typing import Any
from weakref import WeakValueDictionary

from moto.backends import get_backend
from moto.core.base_backend import BackendDict, BaseBackend

Name = tuple[str, str, str]
#: type that pickle cannot copy -> how to make the copy
COPIED: dict[type, Any] = {
    type(RLock()): lambda lock: (RLock, ()),
    WeakValueDictionary: lambda weak: (WeakValueDictionary, (dict(weak),)),
}


class KeptAws:
    """A copy of everything in moto's AWS.

    The copy includes the other objects that the caller gives.
    Each ``restore`` makes new objects. A test that changes them changes no other test.
    """

    def __init__(self, *others: Any) -> None:
        self._functions: list[FunctionType] = []
        backends = dict(_backends())
        names = {id(backend): name for name, backend in backends.items()}
        written = io.BytesIO()
        pickler = pickle.Pickler(written, protocol=pickle.HIGHEST_PROTOCOL)
        pickler.dispatch_table = copyreg.dispatch_table | COPIED  # type: ignore[attr-defined]
        pickler.persistent_id = lambda each: self._reference(each, names)  # type: ignore[method-assign]
        pickler.dump(({name: backend.__dict__ for name, backend in backends.items()}, others))
        self._saved = written.getvalue()

    def restore(self) -> tuple[Any, ...]:
        """Put the copy into moto's AWS, and return a copy of the other objects.

        The state of each copied service is replaced.
        """
        unpickler = pickle.Unpickler(io.BytesIO(self._saved))  # noqa: S301 - this process wrote it
        unpickler.persistent_load = self._referenced  # type: ignore[method-assign]
        states, others = unpickler.load()
        for name, state in states.items():
            _backend(name).__dict__.update(state)
        return tuple(others)

    def _reference(self, each: Any, names: dict[int, Name]) -> Name | int | None:
        """Return a reference to an object that pickle does not copy.

        These objects are moto's backends and inner functions.
        """
        if isinstance(each, BaseBackend):
            return names[id(each)]
        if isinstance(each, FunctionType) and "<locals>" in each.__qualname__:
            self._functions.append(each)
            return len(self._functions) - 1
        return None

    def _referenced(self, reference: Name | int) -> Any:
        return self._functions[reference] if isinstance(reference, int) else _backend(reference)


def _backends() -> Iterator[tuple[Name, BaseBackend]]:
    for service in list(BackendDict._instances):
        for account, region, backend in service.iter_backends():
            yield (service.service_name, account, region), backend


def _backend(name: Name) -> BaseBackend:
    service, account, region = name
    backend: BaseBackend = get_backend(service)[account][region]  # type: ignore[call-overload]
    return backend
