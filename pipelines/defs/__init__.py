"""Dagster assets, checks, schedules and sensors: thin. Each calls a room and carries its counts to the screen."""
