"""Stable Diffusion 1.5 with the paper's in-channel LoRA, or with the ellipse as a condition.

The pipeline of diffusers is not used: its loop decodes interrupted images, keeps state in the
object, and imports three packages that the compact model must not wait for. The parts (UNet,
autoencoder, scheduler) are those of diffusers, and a test compares the images of both.
"""
