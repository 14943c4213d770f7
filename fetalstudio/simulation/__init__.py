"""A scanner and a head, simulated: labelled frames without end.

A picture is made as a scanner makes it. Scatterers with an echogenicity are laid on a grid of
beams and depths; pulse and beam blur them, sound loses strength on its way, the rest is amplified,
compressed and laid out as a sector. The outer edge of the skull is the given ellipse.
"""

from fetalstudio.simulation.clutter import draw_clutter
from fetalstudio.simulation.scene import Clutter, SimulatedScene, random_scene, scene_for
from fetalstudio.simulation.simulator import SimulatedFrame, simulate, simulated_frames

__all__ = [
    "Clutter",
    "SimulatedFrame",
    "SimulatedScene",
    "draw_clutter",
    "random_scene",
    "scene_for",
    "simulate",
    "simulated_frames",
]
