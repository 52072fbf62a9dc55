"""StyleGAN2 in plain PyTorch with one style code a region."""

from segtalker.models.stylegan2.routing import RegionRouting
from segtalker.models.stylegan2.synthesis import Generator, Noise, SynthesisConfig

__all__ = ["Generator", "Noise", "RegionRouting", "SynthesisConfig"]
