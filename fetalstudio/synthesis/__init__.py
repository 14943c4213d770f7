"""Synthesizers: the compact one and Stable Diffusion."""

import sys

# If transformers, peft and accelerate are installed, diffusers imports all three at once, which
# doubles its import time (from 2.3 to 4.3 s of CPU). Only Stable Diffusion needs them and imports
# them itself, so they are hidden from diffusers here. (None in sys.modules makes an import fail.)
_UNSEEN = [name for name in ("transformers", "peft", "accelerate") if name not in sys.modules]
sys.modules.update(dict.fromkeys(_UNSEEN))  # type: ignore[arg-type]
try:
    import diffusers.pipelines.pipeline_utils  # noqa: F401
finally:
    for _name in _UNSEEN:
        del sys.modules[_name]
