"""Trained models as files of other runtimes, each compared with the engine before it is left."""
