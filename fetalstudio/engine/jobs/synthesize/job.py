"""Job ``synthesize``: a batch of pairs, stored in the project and, if asked, as files too."""

from __future__ import annotations

from fetalstudio.core.errors import InputError, UserError
from fetalstudio.core.progress import Stopped
from fetalstudio.engine.jobs.synthesize.maker import Maker
from fetalstudio.engine.jobs.synthesize.plan import begin, resume
from fetalstudio.engine.jobs.synthesize.request import SynthesizeRequest, SynthesizeResult
from fetalstudio.engine.process.events import Preview, Warned
from fetalstudio.engine.process.job import CancelCheck, Report
from fetalstudio.engine.process.progress import Steps
from fetalstudio.project.project import Project


def run(request: SynthesizeRequest, report: Report, cancelled: CancelCheck) -> SynthesizeResult:
    """Make a batch. Finished chunks are stored at once, so a cancel or a crash loses nothing."""
    with Project.open(request.project) as project:
        if request.resume is None:
            batch, model = begin(project, request, report, cancelled)
        else:
            batch, model = resume(project, request)
        with project.batches.lock(batch.id):
            maker = Maker(project, batch, model, request.out)
            files = maker.files
            if files is not None and (request.resume is None or not files.claimed):
                try:
                    files.claim()
                except UserError:  # nothing is made, and nothing is there to be resumed
                    project.batches.drop(batch.id)
                    raise
            if unscaled := maker.unscaled():
                report(Warned(unscaled))
            steps = Steps(batch.wanted, report, cancelled, "synthesising", done=maker.before)
            try:
                for chunks in maker.rounds():
                    for chunk, made in zip(chunks, maker.make(chunks, report, steps), strict=True):
                        for item, (one, measured) in maker.store(chunk, made):
                            caption = f"{item.name}: Dice {measured.quality['dice']:.3f}"
                            report(Preview(one.image, caption, stays=True))
                        steps.advance(len(maker.pairs), batch.wanted - maker.withdrawn)
            except Stopped:
                raise Stopped(maker.result()) from None
            except InputError:
                # A batch that the synthesizer cannot make must not be offered for resuming.
                if not maker.pairs:
                    project.batches.drop(batch.id)
                    if maker.files is not None:
                        maker.files.give_up()
                raise
            return maker.result()
