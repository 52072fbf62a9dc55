"""Runs a .tflite network: LiteRT where it is installed, otherwise OpenCV, 3 to 5 times slower.

Both give the same numbers within 1e-4. Networks take and give NHWC float32.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Runtime = Literal["auto", "litert", "opencv"]


class TFLiteNetwork(Protocol):
    """A loaded network; threads may share it, and wait for each other."""

    def __call__(self, image: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Run on one image [H, W, C] of the network's own size; outputs by their name in the file."""
        ...


def load_network(path: Path, runtime: Runtime = "auto", threads: int = 1) -> TFLiteNetwork:
    """Load a .tflite file. `auto` takes LiteRT if it can be imported."""
    if runtime == "opencv":
        return OpenCVNetwork(path)
    try:
        return LiteRTNetwork(path, threads)
    except ImportError:
        if runtime == "litert":
            raise
        return OpenCVNetwork(path)


class LiteRTNetwork:
    """A network run by LiteRT (package `ai-edge-litert`)."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(str(path), num_threads=threads)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._outputs = {d["name"]: d["index"] for d in self._interpreter.get_output_details()}
        self._running = threading.Lock()

    def __call__(self, image: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Run on one image; the outputs are copies."""
        with self._running:
            self._interpreter.set_tensor(self._input, image[None])
            self._interpreter.invoke()
            return {name: self._interpreter.get_tensor(index) for name, index in self._outputs.items()}


class OpenCVNetwork:
    """A network run by cv2.dnn."""

    def __init__(self, path: Path) -> None:
        import cv2

        # OpenCV 5's new engine gives only one output of a network; OpenCV 4 has but the classic one.
        classic = getattr(cv2.dnn, "ENGINE_CLASSIC", None)
        options = {} if classic is None else {"engine": classic}
        self._network = cv2.dnn.readNetFromTFLite(str(path), **options)
        self._names = tuple(self._network.getUnconnectedOutLayersNames())
        self._running = threading.Lock()

    def __call__(self, image: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Run on one image; the importer wants NCHW but gives what the file says."""
        with self._running:
            self._network.setInput(np.ascontiguousarray(image.transpose(2, 0, 1)[None]))
            outputs = [np.array(output, np.float32) for output in self._network.forward(self._names)]
        return dict(zip(self._names, outputs, strict=True))
