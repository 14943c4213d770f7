"""The result's type follows from the request's. mypy checks this file; running it checks little."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, assert_type

from fetalstudio.cli.console import Console
from fetalstudio.engine.jobs.adapt_sd.request import ProbeRequest
from fetalstudio.engine.jobs.sample.request import SampleRequest
from fetalstudio.engine.jobs.train.request import TrainRequest, TrainResult
from fetalstudio.engine.process.job import Job, job_of
from fetalstudio.engine.process.local import run_job

if TYPE_CHECKING:
    from fetalstudio.ui.job_runner import Engine, JobHandle
    from fetalstudio.ui.session import Session

    def _results_are_known(
        request: TrainRequest, console: Console, engine: Engine, session: Session
    ) -> None:
        assert_type(run_job(request), TrainResult)
        assert_type(console.run(request), TrainResult)
        assert_type(engine.submit(request), JobHandle[TrainResult])
        assert_type(session.submit(request), JobHandle[TrainResult])
        assert_type(run_job(ProbeRequest()), str)

    def _wrong_results_are_refused(handle: JobHandle[TrainResult]) -> None:
        takes_text: Callable[[str], None] = print
        handle.on_finished(takes_text)  # type: ignore[arg-type]
        run_job("train")  # type: ignore[arg-type]


def test_a_request_and_its_class_name_the_same_job() -> None:
    job = job_of(ProbeRequest())
    if TYPE_CHECKING:
        assert_type(job_of(TrainRequest), Job[Any, TrainResult])
    assert job is job_of(ProbeRequest)
    assert job is not job_of(SampleRequest)
