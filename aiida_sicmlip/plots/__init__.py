"""Plots: functions that draw arrays into matplotlib axes."""
