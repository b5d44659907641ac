"""Workloads and what triggers them: functions, services, machines, schedules, topics and subscriptions."""
