"""The speech context encoder of TSG with the heads that it is trained by beforehand.

The paper takes AV-HuBERT as pretrained (arXiv 2409.03605, Sec. 3.2). The small one learns its features here:
which phone sounds at every token, and what a mouth does then. TSG takes over `context` and keeps it frozen.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor, nn

from segtalker.models.frozen.avhubert import AVHubertAudio, AVHubertConfig

NUM_PHONES = 40
"""ARPAbet without stress, and silence."""
NUM_MOUTH = 4
"""Opening, width, protrusion, press."""


@dataclass(frozen=True)
class SpeechEncoderConfig:
    """Size of the encoder; the heads are one layer each."""

    context: AVHubertConfig = field(default_factory=AVHubertConfig.mini)


class SpeechEncoder(nn.Module):
    """Speech tokens to phones and mouth shapes."""

    def __init__(self, cfg: SpeechEncoderConfig) -> None:
        """Build the encoder of `cfg`."""
        super().__init__()
        self.cfg = cfg
        self.context = AVHubertAudio(cfg.context)
        self.phones = nn.Linear(cfg.context.dim, NUM_PHONES)
        self.mouth = nn.Linear(cfg.context.dim, NUM_MOUTH)

    def forward(self, tokens: Tensor, padding_mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Tokens [B, T, 104], padding [B, T] to phone logits [B, T, 40] and mouth [B, T, 4]."""
        features = self.context(tokens, padding_mask)
        return self.phones(features), self.mouth(features)
