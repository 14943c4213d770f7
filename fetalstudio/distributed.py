"""Several processes that share one job, one per GPU, started by ``accelerate launch``.

The first process leads: it alone runs the job and accesses the project. The others follow: they
take part in each call that the leader shares, and end when it dismisses them. Without a launcher
there is one process, and a shared call is a plain call.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_PATIENCE = timedelta(days=2)
"""How long a process waits for the others. The leader may work alone for hours."""
_cut_short = False
"""Whether the leader is in a shared call, or has left one by an error."""


def size() -> int:
    """The number of processes."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """The number of this process; 0 is the leader."""
    return int(os.environ.get("RANK", "0"))


def local_rank() -> int:
    """The number of this process on its machine, and thus of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def everywhere(function: Callable[..., Any], *arguments: Any) -> list[Any]:
    """Call ``function(*arguments)`` in all processes at once; returns the results by rank.

    Only the leader calls this. The function must be defined in a module, and its arguments must be
    picklable. An error in a follower ends that process, and the launcher then ends the others.
    """
    global _cut_short
    if size() == 1:
        return [function(*arguments)]
    _tell((function, arguments))
    _cut_short = True
    results = _take_part(function, arguments)
    _cut_short = False
    return results


def each(function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Call ``function(*a)`` for each ``a``, divided among the processes; the results in order."""
    parts = everywhere(_every_nth, function, arguments)
    return [parts[i % size()][i // size()] for i in range(len(arguments))]


def agreed(value: Any) -> Any:
    """The leader's ``value`` in every process. To be called within a shared call."""
    return value if size() == 1 else _tell(value)


def follow() -> None:
    """Run a follower: take part in the leader's calls until it dismisses this process."""
    while (call := _tell(None)) is not None:
        _take_part(*call)


def dismiss() -> None:
    """Dismiss the followers at the end of the leader's work.

    After a shared call that ended in an error, the followers wait in the middle of it. They are not
    dismissed then: the launcher ends them with the leader.
    """
    if size() > 1 and not _cut_short:
        _tell(None)


def end(status: int) -> None:
    """If there are several processes, end this one with ``status`` at once.

    When the interpreter shuts down by itself, threads of the process group may still run and abort
    a process whose work is done.
    """
    if size() > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


class Here:
    """A callback that is called only in the process that made it. Elsewhere it does nothing."""

    def __init__(self, callback: Callable[..., Any]) -> None:
        self._callback = callback

    def __call__(self, *arguments: Any) -> Any:
        return self._callback(*arguments)

    def __reduce__(self) -> tuple[Callable[[], Here], tuple[()]]:
        return _deaf, ()


def _deaf() -> Here:
    return Here(lambda *_: None)


def sum_of_gradients(parameters: Sequence[torch.nn.Parameter]) -> None:
    """Replace each gradient by its sum over the processes, which must all call this together.

    A parameter without a gradient in this process counts as zero.
    """
    if size() == 1:
        return
    import torch

    _join()
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        torch.distributed.all_reduce(parameter.grad)


def _every_nth(function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
    return [function(*a) for a in arguments[rank() :: size()]]


def _tell(call: Any) -> Any:
    """Broadcast the leader's ``call`` to every process."""
    from accelerate.utils import broadcast_object_list

    _join()
    return broadcast_object_list([call])[0]


def _take_part(function: Callable[..., Any], arguments: Sequence[Any]) -> list[Any]:
    import torch

    results: list[Any] = [None] * size()
    torch.distributed.all_gather_object(results, function(*arguments))
    return results


@cache
def _join() -> None:
    """Connect to the other processes; accelerate knows the back end and this process' GPU."""
    import torch
    from accelerate import PartialState

    # Otherwise it assumes that a process without a GPU is the only one.
    PartialState(cpu=not torch.cuda.is_available(), timeout=_PATIENCE)
