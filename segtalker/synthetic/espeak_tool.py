"""A program of its own: speak JSON lines with the espeak-ng library, with the time of every phoneme.

Run as `python espeak_tool.py`; reads `{"text", "voice", "rate", "pitch", "range", "out"}` a line, writes
the WAV file `out` and answers `{"rate", "samples", "phones": [[ipa, first_sample], ...]}` a line. espeak-ng
is GPL-3 and is therefore only ever called as a separate tool: nothing imports this file. Standard library
only.
"""

from __future__ import annotations

import ctypes
import json
import sys
import wave

_RETRIEVAL, _PHONEME_EVENTS, _IPA_NAMES, _CHARS_UTF8 = 1, 1, 2, 1
_RATE, _PITCH, _RANGE = 1, 3, 4
_END_OF_LIST, _PHONEME = 0, 7


class _Name(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_ms", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Name),
    ]


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


def main() -> int:
    """Answer requests until the input ends."""
    try:
        library = ctypes.CDLL("libespeak-ng.so.1")
    except OSError:
        print("libespeak-ng.so.1 is not installed", file=sys.stderr)
        return 1
    rate = library.espeak_Initialize(_RETRIEVAL, 200, None, _PHONEME_EVENTS | _IPA_NAMES)
    audio = bytearray()
    phones: list[tuple[str, int]] = []

    def on_audio(samples, count, events) -> int:  # type: ignore[no-untyped-def]
        if samples and count:
            audio.extend(ctypes.string_at(samples, 2 * count))
        position = 0
        while events[position].type != _END_OF_LIST:
            if events[position].type == _PHONEME:
                name = events[position].id.string.decode("utf-8", "ignore")
                phones.append((name, events[position].sample))
            position += 1
        return 0

    callback = _Callback(on_audio)
    library.espeak_SetSynthCallback(callback)
    for line in sys.stdin:
        request = json.loads(line)
        audio.clear()
        phones.clear()
        if library.espeak_SetVoiceByName(request["voice"].encode()) != 0:
            print(f"espeak-ng has no voice '{request['voice']}'", file=sys.stderr)
            return 1
        for parameter, name in ((_RATE, "rate"), (_PITCH, "pitch"), (_RANGE, "range")):
            library.espeak_SetParameter(parameter, int(request[name]), 0)
        text = request["text"].encode()
        library.espeak_Synth(text, len(text) + 1, 0, 1, 0, _CHARS_UTF8, None, None)
        library.espeak_Synchronize()
        with wave.open(request["out"], "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(rate)
            file.writeframes(bytes(audio))
        print(json.dumps({"rate": rate, "samples": len(audio) // 2, "phones": phones}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
