"""What can be asked of the engine, and what it answers: one request and one result class a job.

Requests carry paths, plain values and numpy arrays, so that they cross a process boundary and the
window can build them without importing torch.
"""

from fetalstudio.engine.requests.files import (
    ExportRequest,
    ExportResult,
    ImportRequest,
    ImportResult,
    ReportRequest,
    ReportResult,
)
from fetalstudio.engine.requests.segmentation import (
    RECIPES,
    EvaluateRequest,
    EvaluateResult,
    FrameScore,
    Prompt,
    Proposal,
    ProposeRequest,
    ProposeResult,
    Protocol,
    Recipe,
    TrainRequest,
    TrainResult,
)
from fetalstudio.engine.requests.synthesis import (
    DRAFT_STEPS,
    MAX_SEED,
    AdaptRequest,
    AdaptResult,
    AdaptStableDiffusionRequest,
    AdaptStableDiffusionResult,
    Background,
    NamedEllipse,
    SampleRequest,
    SampleResult,
    SynthesizeRequest,
    SynthesizeResult,
)

__all__ = [
    "DRAFT_STEPS",
    "MAX_SEED",
    "RECIPES",
    "AdaptRequest",
    "AdaptResult",
    "AdaptStableDiffusionRequest",
    "AdaptStableDiffusionResult",
    "Background",
    "EvaluateRequest",
    "EvaluateResult",
    "ExportRequest",
    "ExportResult",
    "FrameScore",
    "ImportRequest",
    "ImportResult",
    "NamedEllipse",
    "Prompt",
    "Proposal",
    "ProposeRequest",
    "ProposeResult",
    "Protocol",
    "Recipe",
    "ReportRequest",
    "ReportResult",
    "SampleRequest",
    "SampleResult",
    "SynthesizeRequest",
    "SynthesizeResult",
    "TrainRequest",
    "TrainResult",
]
