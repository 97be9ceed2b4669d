"""Devices that compute: GPUs and processors, and the environment of jobs."""
