"""The workers of a batch on one machine: processes that are replaced when they die."""

from __future__ import annotations

import os
import queue
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from segtalker.batch.config import BatchConfig
from segtalker.batch.tasks import Answer, Task
from segtalker.batch.worker import Worker, open_room
from segtalker.dub_config import DubConfig
from segtalker.errors import SegTalkerError, StorageError

_STARTS = 3
"""Deaths in a row while the networks are loaded, after which another start would be of no use."""

_Setup = tuple[type[Worker], DubConfig, BatchConfig, str]


class LocalWorkers:
    """A `Runner` and a context manager: a process a worker, each with networks of its own."""

    def __init__(
        self, cfg: DubConfig, batch: BatchConfig, out: str, workers: int, worker: type[Worker] = Worker
    ) -> None:
        self._batch = batch
        self._processes = [_Process((worker, cfg, batch, out)) for _ in range(workers)]
        self._threads: list[threading.Thread] = []

    def __call__(self, tasks: Sequence[Task]) -> Iterator[Answer]:
        """Answers as they come; raises what keeps a worker from beginning, or from being begun."""
        todo: queue.SimpleQueue[Task] = queue.SimpleQueue()
        answers: queue.SimpleQueue[Answer | BaseException | None] = queue.SimpleQueue()
        for task in tasks:
            todo.put(task)

        def work(process: _Process) -> None:
            try:
                while True:
                    answers.put(process.do(todo.get_nowait()))
            except queue.Empty:
                return
            except BaseException as error:  # who waits for answers must not wait for ever
                answers.put(error)

        self._threads = [threading.Thread(target=work, args=(one,), daemon=True) for one in self._processes]
        for thread in self._threads:
            thread.start()
        for _ in tasks:
            answer = answers.get()
            if isinstance(answer, BaseException):
                raise answer
            if answer is not None:
                yield answer

    def __enter__(self) -> LocalWorkers:
        """Begin one worker: what keeps all of them from beginning is said before anything is written."""
        try:
            self._processes[0].begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        for process in self._processes:
            process.close()
        for thread in self._threads:
            thread.join()
        with suppress(StorageError):
            open_room(self._batch).close()  # and what the workers had on this disk is gone


class _Process:
    """One worker; begun when it has something to do, and again after its death."""

    def __init__(self, setup: _Setup) -> None:
        self._setup = setup
        self._process: SpawnProcess | None = None
        self._changing = threading.Lock()
        self._is_over = False

    def do(self, task: Task) -> Answer | None:
        """The answer, None where the worker died. Raises as `begin`."""
        self.begin()
        try:
            self._pipe.send(task.to_json())
            return Answer.from_json(self._pipe.recv())
        except (EOFError, OSError):
            self._end()
            return None

    def begin(self) -> None:
        """Start the worker unless it lives; `SegTalkerError` says what keeps it from beginning."""
        if self._process is not None:
            return
        for _ in range(_STARTS):
            self._start()
            try:
                problem = self._pipe.recv()
            except (EOFError, OSError):
                self._end()
                continue
            if problem is not None:
                self._end()
                raise problem
            return
        raise SegTalkerError(
            "a worker died whenever it loaded its networks, perhaps for want of memory. Ask for fewer "
            "--workers. What is done is kept."
        )

    def close(self) -> None:
        """Kill the worker, and begin none any more; what it has not finished is not there."""
        self._is_over = True
        self._end()

    def _start(self) -> None:
        context = get_context("spawn")
        with self._changing:
            if self._is_over:
                raise SegTalkerError("the batch was stopped.")
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(target=_serve, args=(theirs, self._setup), daemon=True)
            self._process.start()
            theirs.close()

    def _end(self) -> None:
        with self._changing:
            process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.join()
            self._pipe.close()


def _serve(pipe: Connection, setup: _Setup) -> None:
    """The worker's process: says that it is ready, or why not; then answers tasks until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    threading.Thread(target=_end_with_parent, daemon=True).start()
    kind, cfg, batch, out = setup
    try:
        worker = kind(cfg, batch, out)
    except SegTalkerError as error:
        pipe.send(error)
        return
    except Exception as error:
        pipe.send(SegTalkerError(f"a worker cannot begin: {type(error).__name__}: {error}"))
        return
    try:
        pipe.send(None)
        while True:
            pipe.send(worker(Task.from_json(pipe.recv())).to_json())
    except (EOFError, OSError):
        worker.close()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
