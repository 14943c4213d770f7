"""Stable Diffusion 1.5: the paper's in-channel LoRA, and the same with the drawn ellipse obeyed.

Nothing here uses diffusers' own Stable Diffusion pipeline: its loop decodes an interrupted picture,
keeps its state in the object, and needs three packages imported that the compact model must not
wait for. The parts (UNet, autoencoder, scheduler) are diffusers', and a test compares pictures.
"""
