"""The engine's client and process, with real jobs in a real child process."""

from __future__ import annotations

import multiprocessing.spawn
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from fetalstudio.engine.process.client import EngineClient
from fetalstudio.engine.process.events import (
    Cancelled,
    Checkpoint,
    Epoch,
    Failed,
    Finished,
    Preview,
    Progress,
    Started,
    Warned,
)
from fetalstudio.engine.process.job import Asked
from tests.engine.jobs_for_tests import Fraction, NoSuchModule, SlowToImport, ask
from tests.engine.support import Log, gone

GRACE_S = 0.7


@pytest.fixture
def client() -> Iterator[EngineClient]:
    client = EngineClient(grace_s=GRACE_S)
    yield client
    pid = client.pid
    client.close()
    assert pid is None or gone(pid, timeout=1.0)


@pytest.fixture
def log(client: EngineClient) -> Log:
    return Log(client)


# -- the ordinary course --------------------------------------------------------------------------


def test_events_come_in_order_and_whole(client: EngineClient, log: Log) -> None:
    number = client.submit(ask("everything", Path("best.safetensors")))
    log.until_final(number)
    kinds = [type(event) for event in log.of(number)]
    assert kinds == [Started, Progress, Preview, Epoch, Checkpoint, Warned, Progress, Finished]
    started, first, preview, epoch, checkpoint, warned, second, finished = log.of(number)
    assert started == Started("everything")
    assert (first, second) == (Progress(1, 2), Progress(2, 2))
    assert isinstance(preview, Preview)
    assert preview.caption == "half way"
    np.testing.assert_array_equal(preview.image, np.full((4, 6), 7, np.uint8))
    assert epoch == Epoch(1, 1, 0.5, 0.6, 0.9, best=True)
    assert checkpoint == Checkpoint(Path("best.safetensors"), "best")
    assert warned == Warned("careful")
    assert finished == Finished("done")


def test_jobs_run_in_turn_in_one_process(client: EngineClient, log: Log) -> None:
    numbers = [client.submit(ask("surroundings", None)) for _ in range(3)]
    log.until_final(*numbers)
    assert len({log.last(number).result["pid"] for number in numbers}) == 1
    order = [number for number, event in log.events if isinstance(event, Started | Finished)]
    assert order == sorted(order), "one job begins before the one before it has ended"


def test_the_process_is_a_good_neighbour(
    client: EngineClient, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    found = log.until_final(client.submit(ask("surroundings", None))).result
    assert found["pid"] not in (None, os.getpid())
    assert found["sigint"], "Ctrl-C must reach the parent alone"
    assert found["main"], "jobs run in the main thread"
    assert found["nice"] == min(19, os.nice(0) + 5)
    usable = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    assert 1 <= int(found["threads"]) <= (usable or 1)
    assert found["waiting"] == "PASSIVE"
    assert not {"torch", "diffusers", "PySide6"} & set(found["modules"])


def test_the_number_of_threads_can_be_set(
    client: EngineClient, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert log.until_final(client.submit(ask("surroundings", None))).result["threads"] == "7"


def test_large_arrays_cross_both_ways(client: EngineClient, log: Log) -> None:
    array = np.random.default_rng(0).integers(0, 256, (24, 1024, 1024), np.uint8)  # 24 MiB
    result = log.until_final(client.submit(ask("invert", array))).result
    np.testing.assert_array_equal(result, 255 - array)


def test_a_request_is_copied_when_submitted(client: EngineClient, log: Log) -> None:
    array = np.zeros((8, 8), np.uint8)
    number = client.submit(ask("invert", array))
    array[:] = 200
    assert (log.until_final(number).result == 255).all()


def test_poll_times_out_empty_and_wakes_for_a_submit(client: EngineClient) -> None:
    before = time.monotonic()
    assert client.poll(0.1) == []
    assert time.monotonic() - before > 0.09
    timer = threading.Timer(0.1, client.submit, (ask("echo", 1),))
    timer.start()
    # A poll that slept through the submit would outlast the test's own time limit.
    assert client.poll(3600)[0][1] == Started("echo")


def test_what_cannot_be_asked_is_refused_at_once(client: EngineClient) -> None:
    for request in (None, "paint", Path("a.png")):
        with pytest.raises(TypeError, match="is not the request of a job"):
            client.submit(request)  # type: ignore[arg-type]  # that is the point
    with pytest.raises(TypeError, match="str is not the request of a job"):
        client.warm_up(str)  # type: ignore[arg-type]

    class Local:
        """What pickle cannot find by its name."""

    for value in (threading.Lock(), lambda: None, Local()):
        with pytest.raises(TypeError, match=r"job 'echo' cannot be sent: .*pickle"):
            client.submit(ask("echo", value))
    with pytest.raises(TypeError, match="is a class"):
        client.submit(type(ask("echo", 1)))  # it names a job, too
    assert client.poll(0) == []


def test_warm_up_starts_the_process_and_imports(client: EngineClient, log: Log) -> None:
    assert client.pid is None
    client.warm_up(Fraction)
    log.until(lambda: client.pid is not None)
    pid = client.pid
    while "fractions" not in (found := _surroundings(client, log))["modules"]:
        time.sleep(0.05)
    assert found["pid"] == pid


def _surroundings(client: EngineClient, log: Log) -> dict[str, Any]:
    found: dict[str, Any] = log.until_final(client.submit(ask("surroundings", None))).result
    return found


def test_a_job_that_cannot_be_warmed_up_fails_only_when_run(client: EngineClient, log: Log) -> None:
    client.warm_up(NoSuchModule)
    failed = log.until_final(client.submit(NoSuchModule()))
    assert isinstance(failed, Failed)
    assert "no_such_module" in failed.message
    assert log.until_final(client.submit(ask("echo", 3))) == Finished(3)


# -- back-pressure --------------------------------------------------------------------------------


def test_a_slow_consumer_neither_blocks_the_job_nor_fills_the_memory(
    client: EngineClient, log: Log
) -> None:
    """800 MB of pictures, while nobody polls for a second at a time."""
    number = client.submit(ask("flood", 2000))
    log.until_said(number, Progress)
    child = psutil.Process(client.pid)
    polls = 0
    while not log.over(number):
        assert child.memory_info().rss < 150 * 2**20
        time.sleep(1.0)
        log.events += client.poll(0.2)
        polls += 1
        assert polls < 60
    log.check(number)
    finished = log.last(number)
    assert isinstance(finished, Finished)
    assert finished.result / 2000 < 0.01, "a picture costs its copy, not the consumer's second"
    previews = [event for event in log.of(number) if isinstance(event, Preview)]
    progress = [event for event in log.of(number) if isinstance(event, Progress)]
    assert 2 <= len(previews) <= 3 + 2 * polls
    assert previews[-1].caption == "1999", "the newest picture is the one that is kept"
    assert progress[-1] == Progress(2000, 2000)


def test_pictures_come_at_most_twenty_a_second(client: EngineClient, log: Log) -> None:
    number = client.submit(ask("spin", 1.0))
    log.until_final(number)
    for kind in (Preview, Progress):
        assert 3 <= sum(isinstance(event, kind) for event in log.of(number)) <= 24


def test_each_picture_of_a_series_comes(client: EngineClient, log: Log) -> None:
    number = client.submit(ask("series", 40))
    log.until_final(number)
    previews = [event for event in log.of(number) if isinstance(event, Preview)]
    assert [preview.caption for preview in previews] == [str(n) for n in range(40)]


def test_a_reported_array_may_be_used_again(client: EngineClient, log: Log) -> None:
    number = client.submit(ask("reuse", 100))
    log.until_final(number)
    previews = [event for event in log.of(number) if isinstance(event, Preview)]
    assert len(previews) >= 2
    for preview in previews:
        assert (preview.image == int(preview.caption)).all()


# -- cancelling -----------------------------------------------------------------------------------


def test_cancel_stops_within_a_step_and_keeps_the_process(client: EngineClient, log: Log) -> None:
    number = client.submit(ask("steps", 100_000))
    log.until_said(number, Progress)
    pid = client.pid
    client.cancel(number)
    cancelled = log.until_final(number)
    assert isinstance(cancelled, Cancelled)
    assert 0 < cancelled.result < 100_000
    assert _surroundings(client, log)["pid"] == pid, "it stopped by itself, not by force"


def test_a_job_deaf_to_cancel_is_ended_after_the_grace(client: EngineClient, log: Log) -> None:
    number = client.submit(ask("deaf", 600.0))
    log.until_said(number, Checkpoint)
    pid = client.pid
    assert pid is not None
    asked = time.monotonic()
    client.cancel(number)
    assert isinstance(log.until_final(number), Cancelled)
    assert time.monotonic() - asked >= GRACE_S
    assert gone(pid)
    log.until(lambda: client.pid not in (None, pid))  # started anew without being asked
    anew = client.pid
    assert _surroundings(client, log)["pid"] == anew


def test_a_cancelled_job_that_completes_what_it_has_is_waited_for(
    client: EngineClient, log: Log
) -> None:
    steps = round(2 * GRACE_S / 0.2)
    number = client.submit(ask("finishing", (steps, 0.2)))
    log.until_said(number, Checkpoint)
    client.cancel(number)
    assert log.until_final(number) == Cancelled(steps)


def test_a_step_of_what_a_cancelled_job_completes_may_take_longer_than_the_grace() -> None:
    client = EngineClient(grace_s=0.1)
    log = Log(client)
    number = client.submit(ask("finishing", (3, 0.2)))
    log.until_said(number, Checkpoint)
    client.cancel(number)
    assert log.until_final(number) == Cancelled(3)
    client.close()


def test_what_a_cancelled_job_completes_ends_when_it_is_asked_to_stop_now(
    client: EngineClient, log: Log
) -> None:
    number = client.submit(ask("finishing", (3000, 0.2)))
    log.until_said(number, Checkpoint)
    client.cancel(number)
    log.until_said(number, Progress)
    pid = client.pid
    client.cancel(number)
    client.cancel(number, Asked.TO_STOP_NOW)
    assert log.until_final(number) == Cancelled()
    assert _surroundings(client, log)["pid"] == pid, "it stopped by itself, not by force"


def test_a_step_that_takes_too_long_is_ended_when_asked_to_stop_now() -> None:
    client = EngineClient(grace_s=0.1)
    log = Log(client)
    number = client.submit(ask("finishing", (3000, 5.0)))
    log.until_said(number, Checkpoint)
    client.cancel(number)
    log.until_said(number, Progress)
    asked = time.monotonic()
    client.cancel(number, Asked.TO_STOP_NOW)
    assert log.until_final(number) == Cancelled()
    assert time.monotonic() - asked < 4.0
    client.close()


def test_closing_ends_what_a_cancelled_job_completes() -> None:
    client = EngineClient(grace_s=20.0)
    log = Log(client)
    number = client.submit(ask("finishing", (3000, 0.2)))
    log.until_said(number, Checkpoint)
    client.cancel(number)
    log.until_said(number, Progress)
    asked = time.monotonic()
    client.close()
    assert log.until_final(number) == Cancelled()
    assert time.monotonic() - asked < 15.0


def test_cancel_in_the_queue_answers_while_another_job_runs(client: EngineClient, log: Log) -> None:
    running = client.submit(ask("steps", 100_000))
    waiting = client.submit(ask("echo", 1))
    log.until_said(running, Progress)
    client.cancel(waiting)
    log.until_final(waiting)
    assert log.of(waiting) == [Cancelled()]
    assert not log.over(running)


def test_cancel_before_the_process_is_up_answers_at_once(client: EngineClient, log: Log) -> None:
    number = client.submit(ask("steps", 100_000))
    log.events += client.poll(0)  # the job was taken, the process has only just been started
    client.cancel(number)
    log.until_final(number, timeout=GRACE_S)
    assert log.of(number) == [Started("steps"), Cancelled()]
    assert log.until_final(client.submit(ask("echo", 2))) == Finished(2)


def test_cancel_while_the_process_still_imports_answers_at_once(
    client: EngineClient, log: Log
) -> None:
    client.warm_up(SlowToImport)  # two seconds
    log.until(lambda: client.pid is not None)
    time.sleep(0.7)
    pid = client.pid
    number = client.submit(ask("echo", 1))
    log.until_said(number, Started)
    time.sleep(0.1)
    client.cancel(number)
    log.until_final(number, timeout=GRACE_S)
    assert log.of(number) == [Started("echo"), Cancelled()]
    assert _surroundings(client, log)["pid"] == pid, "no need to end the process for that"


def test_a_cancel_that_comes_too_late_changes_nothing(client: EngineClient, log: Log) -> None:
    first = client.submit(ask("echo", 1))
    assert log.until_final(first) == Finished(1)
    client.cancel(first)
    client.cancel(999)
    assert log.until_final(client.submit(ask("steps", 20))) == Finished(20)
    log.check(first)


def test_replace_drops_waiting_jobs_of_that_name_and_cancels_the_running(
    client: EngineClient, log: Log
) -> None:
    running = client.submit(ask("steps", 100_000))
    other = client.submit(ask("echo", "kept"))
    waiting = [client.submit(ask("steps", 100_000)) for _ in range(3)]
    log.until_said(running, Progress)
    newest = client.submit(ask("steps", 5), replace=True)
    assert log.until_final(running, *waiting, other, newest) == Finished(5)
    assert [log.of(number) for number in waiting] == [[Cancelled()]] * 3
    assert isinstance(log.last(running), Cancelled)
    assert log.last(other) == Finished("kept")


def test_without_replace_equal_jobs_queue(client: EngineClient, log: Log) -> None:
    first, second = (client.submit(ask("steps", 3)) for _ in range(2))
    log.until_final(first, second)
    assert (log.last(first), log.last(second)) == (Finished(3), Finished(3))


def test_many_threads_may_submit_and_cancel(client: EngineClient, log: Log) -> None:
    numbers: list[int] = []

    def submit_many() -> None:
        for value in range(20):
            number = client.submit(ask("echo", value))
            numbers.append(number)
            if value % 3 == 0:
                client.cancel(number)

    threads = [threading.Thread(target=submit_many) for _ in range(5)]
    for thread in threads:
        thread.start()
    log.until(lambda: not any(thread.is_alive() for thread in threads))
    assert len(set(numbers)) == 100
    log.until_final(*numbers)
    assert all(isinstance(log.last(number), Finished | Cancelled) for number in numbers)
    assert sum(isinstance(log.last(number), Finished) for number in numbers) >= 65


# -- errors ---------------------------------------------------------------------------------------


def test_an_exception_arrives_with_its_traceback(client: EngineClient, log: Log) -> None:
    failed = log.until_final(client.submit(ask("divide", 1)))
    assert isinstance(failed, Failed)
    assert "ZeroDivisionError: division by zero" in failed.message
    assert "jobs_for_tests.py" in failed.traceback
    assert "return request.value / 0" in failed.traceback
    assert not failed.bad_input


@pytest.mark.parametrize(("name", "bad"), [("bad_input", True), ("fail_for_a_person", False)])
def test_an_error_for_the_person_keeps_its_words(
    client: EngineClient, log: Log, name: str, bad: bool
) -> None:
    message = "frames/a.png is cut off; copy it again."
    failed = log.until_final(client.submit(ask(name, message)))
    assert isinstance(failed, Failed)
    assert (failed.message, failed.bad_input) == (message, bad)


def test_want_of_memory_is_named(client: EngineClient, log: Log) -> None:
    failed = log.until_final(client.submit(ask("exhaust_memory", None)))
    assert isinstance(failed, Failed)
    assert "not enough memory" in failed.message


def test_a_job_that_exits_fails(client: EngineClient, log: Log) -> None:
    failed = log.until_final(client.submit(ask("leave", 3)))
    assert isinstance(failed, Failed)
    assert "SystemExit: 3" in failed.message


@pytest.mark.parametrize("name", ["unpicklable_result", "unpicklable_event"])
def test_what_cannot_be_sent_fails_the_job(client: EngineClient, log: Log, name: str) -> None:
    failed = log.until_final(client.submit(ask(name, None)))
    assert isinstance(failed, Failed)
    assert "pickle" in failed.message
    assert log.until_final(client.submit(ask("echo", 1))) == Finished(1)


def test_a_tensor_is_refused_rather_than_torch_imported(client: EngineClient, log: Log) -> None:
    failed = log.until_final(client.submit(ask("torch_result", None)), timeout=120)
    assert isinstance(failed, Failed)
    assert "torch" in failed.message
    assert log.until_final(client.submit(ask("echo", 1))) == Finished(1)


# -- death ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "reason"), [("crash", "signal 11, SIGSEGV"), ("kill_self", "signal 9, SIGKILL")]
)
def test_a_crash_fails_the_job_and_the_next_one_works(
    client: EngineClient, log: Log, name: str, reason: str
) -> None:
    number = client.submit(ask(name, None))
    waiting = client.submit(ask("echo", 1))
    failed = log.until_final(number, timeout=10)
    assert isinstance(failed, Failed)
    assert failed.message.startswith(f"The engine stopped unexpectedly ({reason}")
    assert failed.message.endswith("What was saved is kept; start the job again.")
    assert log.until_final(waiting) == Finished(1)


def test_kill_9_from_outside_mid_job(client: EngineClient, log: Log) -> None:
    number = client.submit(ask("steps", 100_000))
    log.until_said(number, Progress)
    pid = client.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    failed = log.until_final(number, timeout=5)
    assert isinstance(failed, Failed)
    assert "signal 9" in failed.message
    assert _surroundings(client, log)["pid"] != pid


def test_a_process_killed_while_idle_costs_no_job(client: EngineClient, log: Log) -> None:
    pid = _surroundings(client, log)["pid"]
    assert isinstance(pid, int)
    os.kill(pid, signal.SIGKILL)
    assert gone(pid)
    assert _surroundings(client, log)["pid"] != pid


def test_a_job_sent_to_a_dying_process_goes_to_another(client: EngineClient, log: Log) -> None:
    pid = _surroundings(client, log)["pid"]
    assert isinstance(pid, int)
    # Stopped, it is alive to the client, takes the message and never reads it.
    os.kill(pid, signal.SIGSTOP)
    number = client.submit(ask("surroundings", None))
    log.events += client.poll(0.2)
    assert isinstance(log.last(number), Started)
    os.kill(pid, signal.SIGKILL)
    assert log.until_final(number).result["pid"] != pid


def test_a_job_that_was_begun_is_not_run_a_second_time(
    client: EngineClient, log: Log, tmp_path: Path
) -> None:
    number = client.submit(ask("leave_a_mark_and_crash", tmp_path / "marks"))
    assert isinstance(log.until_final(number), Failed)
    assert (tmp_path / "marks").read_text() == "begun\n"


def test_a_process_killed_after_cancel_counts_as_cancelled(client: EngineClient, log: Log) -> None:
    number = client.submit(ask("deaf", 600.0))
    log.until_said(number, Checkpoint)
    client.cancel(number)
    client.poll(0.1)
    assert client.pid is not None
    os.kill(client.pid, signal.SIGKILL)
    assert isinstance(log.until_final(number), Cancelled)


@pytest.mark.parametrize("program", ["/bin/false", "/does/not/exist"])
def test_a_process_that_cannot_start_fails_the_job(
    client: EngineClient, log: Log, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(multiprocessing.spawn, "_python_exe", os.fsencode(program))
        failed = log.until_final(client.submit(ask("echo", 1)), timeout=10)
    assert isinstance(failed, Failed)
    assert "could not be started" in failed.message
    assert log.until_final(client.submit(ask("echo", 1))) == Finished(1)


def test_no_file_descriptor_is_left_behind(client: EngineClient, log: Log) -> None:
    log.until_final(client.submit(ask("kill_self", None)))
    before = psutil.Process().num_fds()
    for _ in range(3):
        log.until_final(client.submit(ask("kill_self", None)))
    assert psutil.Process().num_fds() <= before


# -- closing --------------------------------------------------------------------------------------


def test_close_cancels_what_runs_and_waits() -> None:
    client = EngineClient(grace_s=GRACE_S)
    log = Log(client)
    running, waiting = client.submit(ask("steps", 100_000)), client.submit(ask("echo", 1))
    log.until_said(running, Progress)
    pid = client.pid
    assert pid is not None
    client.close()
    assert gone(pid, timeout=0.5)
    log.until_final(running, waiting)
    assert isinstance(log.last(running), Cancelled)
    assert log.of(waiting) == [Cancelled()]
    assert client.poll() == []
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.submit(ask("echo", 1))


def test_close_ends_a_deaf_job_by_force() -> None:
    client = EngineClient(grace_s=GRACE_S)
    log = Log(client)
    number = client.submit(ask("deaf", 600.0))
    log.until_said(number, Checkpoint)
    pid = client.pid
    assert pid is not None
    client.close()
    assert gone(pid, timeout=0.5)
    assert isinstance(log.until_final(number), Cancelled)


def test_close_while_the_process_starts_is_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    for wait in (0.0, 0.1, 0.2, 0.3):
        client = EngineClient(grace_s=GRACE_S)
        number = client.submit(ask("echo", 1))
        deadline = time.monotonic() + wait
        client.poll(0)
        while time.monotonic() < deadline:
            time.sleep(0.01)
        pid = client.pid
        assert pid is not None
        client.close()
        assert gone(pid, timeout=0.5)
        assert client.poll() == [(number, Cancelled())]
    assert capfd.readouterr().err == ""


def test_close_wakes_a_poll_in_another_thread() -> None:
    client = EngineClient(grace_s=GRACE_S)
    thread = threading.Thread(target=client.poll)
    thread.start()
    time.sleep(0.1)
    client.close()
    thread.join(5)
    assert not thread.is_alive()


PARENT = """
import sys, time
from fetalstudio.engine.process.client import EngineClient
from fetalstudio.engine.process.job import Asked
from tests.engine.jobs_for_tests import Fraction, NoSuchModule, SlowToImport, ask
from tests.engine.support import Log
from fetalstudio.engine.process.events import Started, Progress, Checkpoint

if __name__ == "__main__":
    client = EngineClient(grace_s=1.0)
    log = Log(client)
    name, kind = sys.argv[1:]
    if name == "idle":
        log.until_final(client.submit(ask("echo", 1)))
    else:
        log.until_said(client.submit(ask(name, 100_000)), {"steps": Progress}.get(name, Checkpoint))
    print(client.pid, flush=True)
    if kind == "kill":
        time.sleep(600)
    # else it ends without having closed the client
"""


def test_an_idle_process_leaves_in_good_order(tmp_path: Path) -> None:
    """Nothing of Python's own clean-up is cut off, which its resource tracker would complain of."""
    script = tmp_path / "parent.py"
    script.write_text(PARENT.replace("echo", "hold_a_semaphore") + "\n    client.close()\n")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, str(script), "idle", "close"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == ""


@pytest.mark.parametrize("doing", ["idle", "steps", "deaf"])
@pytest.mark.parametrize("end", ["kill", "forget"])
def test_no_orphan_is_left_when_the_parent_dies(tmp_path: Path, doing: str, end: str) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    with subprocess.Popen(
        [sys.executable, str(script), doing, end], stdout=subprocess.PIPE, env=environment
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        if end == "kill":
            assert psutil.pid_exists(pid)
            parent.kill()
        parent.wait(10)
    assert gone(pid, timeout=5)


# -- imports --------------------------------------------------------------------------------------


def test_importing_the_client_imports_neither_torch_nor_qt() -> None:
    code = textwrap.dedent("""
        import sys
        import fetalstudio.engine.process.client, fetalstudio.engine.process.events
        import fetalstudio.engine.process.local, fetalstudio.engine.jobs.train.request
        heavy = {"torch", "diffusers", "segment_anything", "PySide6"} & set(sys.modules)
        sys.exit(f"imported: {heavy}" if heavy else 0)
    """)
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
