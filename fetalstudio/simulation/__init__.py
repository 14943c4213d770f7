"""A simulated scanner and head, for any number of labelled frames.

Frames are made in the way of a scanner. Scatterers with an echogenicity lie on a grid of beams and
depths. Pulse and beam blur them, and sound is attenuated on its way. The remaining echoes are
amplified, compressed and mapped to a sector. The outer edge of the skull is the given ellipse.
"""

from fetalstudio.simulation.clutter import draw_clutter
from fetalstudio.simulation.scene import Clutter, SimulatedScene, random_scene, scene_for
from fetalstudio.simulation.simulator import VERSION, SimulatedFrame, simulate, simulated_frames

__all__ = [
    "VERSION",
    "Clutter",
    "SimulatedFrame",
    "SimulatedScene",
    "draw_clutter",
    "random_scene",
    "scene_for",
    "simulate",
    "simulated_frames",
]
