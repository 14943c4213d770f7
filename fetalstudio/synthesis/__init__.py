"""Synthesizers: the compact one and Stable Diffusion."""

import sys

# Where transformers, peft and accelerate are installed, diffusers imports all three at once, which
# doubles its time (2.3 s of CPU become 4.3). Only Stable Diffusion needs them, and asks for them
# itself; so they are out of sight while diffusers looks round. (None makes Python find nothing.)
_UNSEEN = [name for name in ("transformers", "peft", "accelerate") if name not in sys.modules]
sys.modules.update(dict.fromkeys(_UNSEEN))  # type: ignore[arg-type]
try:
    import diffusers.pipelines.pipeline_utils  # noqa: F401
finally:
    for _name in _UNSEEN:
        del sys.modules[_name]
