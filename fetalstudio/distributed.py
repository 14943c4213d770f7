"""Several processes at one job, one on each GPU or node, started by ``accelerate launch``.

The first process leads: it alone runs the job and touches the project. The others follow: they take
part in each call that the first one shares, and end when it dismisses them. Without a launcher
there is one process, and a shared call is a plain one.
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
"""How long a process waits for the others: what the leader does alone can take hours."""
_cut_short = False
"""Whether the leader is in a shared call, or left one by an error."""


def size() -> int:
    """How many processes there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Which one this is; 0 leads."""
    return int(os.environ.get("RANK", "0"))


def local_rank() -> int:
    """Which one this is on its machine: the number of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def everywhere(function: Callable[..., Any], *arguments: Any) -> list[Any]:
    """``function(*arguments)`` in all processes at once; the results by rank.

    The leader calls it. The function is one of a module, and it and its arguments can be pickled.
    An error in a follower ends that process, and the launcher then ends the others.
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
    """``function(*a)`` for each ``a``, shared out over the processes; the results in order."""
    parts = everywhere(_every_nth, function, arguments)
    return [parts[i % size()][i // size()] for i in range(len(arguments))]


def agreed(value: Any) -> Any:
    """Within a shared call: the leader's ``value``, in every process."""
    return value if size() == 1 else _tell(value)


def follow() -> None:
    """What all but the leader do: take part in its calls until it dismisses them."""
    while (call := _tell(None)) is not None:
        _take_part(*call)


def dismiss() -> None:
    """End the followers; the leader's last word.

    After a shared call that ended in an error they wait for this process in the middle of it. Then
    nothing is said: the launcher ends them with the leader.
    """
    if size() > 1 and not _cut_short:
        _tell(None)


def end(status: int) -> None:
    """Where there are several processes, end this one with ``status``, now.

    Left to the interpreter's own end, threads of the process group may still run then, and abort a
    process whose work is done.
    """
    if size() > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


class Here:
    """A callback that only the process that made it hears: elsewhere it does nothing."""

    def __init__(self, callback: Callable[..., Any]) -> None:
        self._callback = callback

    def __call__(self, *arguments: Any) -> Any:
        return self._callback(*arguments)

    def __reduce__(self) -> tuple[Callable[[], Here], tuple[()]]:
        return _deaf, ()


def _deaf() -> Here:
    return Here(lambda *_: None)


def sum_of_gradients(parameters: Sequence[torch.nn.Parameter]) -> None:
    """Replace each gradient by its sum over the processes; all of them call it together.

    A parameter that this process' share did not reach counts as zero.
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
    """The leader's ``call``, in every process."""
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
    """Meet the other processes; accelerate knows the back end and this process' GPU."""
    import torch
    from accelerate import PartialState

    # Without being told, it takes a process without a GPU for the only one.
    PartialState(cpu=not torch.cuda.is_available(), timeout=_PATIENCE)
