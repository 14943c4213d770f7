"""The queue that keeps only the newest of what replaces each other."""

from __future__ import annotations

from fetalstudio.engine.process.coalescing import CoalescingQueue


def drain(queue: CoalescingQueue[str]) -> list[str]:
    taken = []
    while (item := queue.take()) is not None:
        taken.append(item)
    return taken


def test_the_newest_of_a_key_is_kept_and_overtakes_nothing() -> None:
    queue: CoalescingQueue[str] = CoalescingQueue()
    assert [
        queue.put("progress 1", "progress"),
        queue.put("epoch 1"),
        queue.put("progress 2", "progress"),
        queue.put("preview 1", "preview"),
        queue.put("epoch 2"),
    ] == [True, True, False, True, True]
    assert drain(queue) == ["epoch 1", "progress 2", "preview 1", "epoch 2"]
    assert queue.put("progress 3", "progress"), "nothing waited any more"


def test_all_can_be_taken_at_once() -> None:
    queue: CoalescingQueue[str] = CoalescingQueue()
    queue.put("a", "first")
    queue.put("b", "second")
    queue.put("c", "first")
    assert list(queue.take_all().items()) == [("second", "b"), ("first", "c")]
    assert queue.take() is None
