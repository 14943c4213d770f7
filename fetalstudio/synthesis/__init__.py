"""Synthesizers: the compact one and Stable Diffusion."""

import sys

# Whichever of these is installed, diffusers imports at once, which takes about as long as all the
# rest (scipy alone a second of CPU). Only Stable Diffusion needs the first three and imports them
# itself; scipy serves noise schedules that are not used here. So they are hidden from diffusers.
# (None in sys.modules makes an import fail.)
_OPTIONAL = ("transformers", "peft", "accelerate", "scipy")
_UNSEEN = [name for name in _OPTIONAL if name not in sys.modules]
sys.modules.update(dict.fromkeys(_UNSEEN))  # type: ignore[arg-type]
try:
    import diffusers.pipelines.pipeline_utils  # noqa: F401
finally:
    for _name in _UNSEEN:
        del sys.modules[_name]
