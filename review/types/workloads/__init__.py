"""Workloads and what triggers them: functions, services, VMs, schedules, topics and subscriptions."""
