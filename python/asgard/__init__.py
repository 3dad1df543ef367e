"""Asgard's side in Python: the runner that owns a training script and the worker that serves a model."""
