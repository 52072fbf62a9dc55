"""Going on from a checkpoint: the newest one that is whole, the same one on every rank."""

from __future__ import annotations

from collections.abc import Mapping

from segtalker.errors import DataError, SegTalkerError, StorageError, WeightsError
from segtalker.training.loop import TrainContext
from segtalker.training.state import TrainState, load_state


def resume(state: TrainState, context: TrainContext) -> list[str]:
    """Put `state` at the newest checkpoint that all ranks can read; without any, it stays at step 0.

    Returns a sentence for each newer one that was passed over. `DataError` when there are checkpoints and
    none can be read: a run never begins anew without being told to. `WeightsError` when other networks take
    part in the objective than before, as where the cache gained or lost one.
    """
    names = context.checkpoints()
    warnings: list[str] = []
    for number, name in enumerate(names):
        error = _try_to_load(name, state, context)
        # Ranks that went on from different steps would train different networks.
        if context.average({"whole": float(error is None)})["whole"] == 1.0:
            context.begin(state.step, names[:number])
            return [f"{sentence} The run goes on from step {state.step}." for sentence in warnings]
        warnings.append(str(error or f"{name}: another worker could not read this checkpoint."))
    if warnings:
        raise DataError(
            f"{warnings[0]} None of the run's {len(names)} checkpoints can be read. Bring one back from a "
            "copy, or begin anew in another folder."
        )
    context.begin(0, [])
    return []


def _try_to_load(name: str, state: TrainState, context: TrainContext) -> SegTalkerError | None:
    """None once `state` is at the checkpoint `name`, else what is wrong with the checkpoint."""
    try:
        before = load_state(context.fetch(name), state)
    except (DataError, StorageError) as error:
        return error
    if before is not None and (changes := _changes(before, state.loss_networks)):
        raise WeightsError(
            f"{name}: the objective of this run has changed: {'; '.join(changes)}; or begin anew in another "
            "folder (--out; of ray_jobs.train: --run)."
        )
    return None


def _changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What is different about the networks of an objective, each with its remedy."""
    came = [key for key in now if key not in before]
    went = [key for key in before if key not in now]
    changed = [key for key in before if key in now and before[key] != now[key] and before[key] and now[key]]
    return [
        *(
            f"{key} was off and is on now (go on without it by --set {key}=null in this run's folder)"
            for key in came
        ),
        *(f"{key} was on and is off now (import its file again)" for key in went),
        *(f"{key} is another file than it was (import the earlier one again)" for key in changed),
    ]
