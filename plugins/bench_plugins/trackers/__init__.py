"""First-party trackers: Weights & Biases and MLflow. Both keep to local files unless the user has set them up otherwise."""

from __future__ import annotations

from collections.abc import Sequence

from bench.api.tracker import Tracker
from bench.hooks import hookimpl
from bench_plugins.trackers.mlflow import MlflowTracker
from bench_plugins.trackers.wandb import WandbTracker

__all__ = ["MlflowTracker", "WandbTracker", "bench_trackers"]


@hookimpl
def bench_trackers() -> Sequence[Tracker]:
    """Both, in the order that ``--tracker`` defaults to."""
    return (WandbTracker(), MlflowTracker())
