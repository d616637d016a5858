"""The daemon: the way of an event, checkpoints, metrics, health and the status page."""
