"""What keeps an environment running and watched: schedules, alerts, service level, budget, outputs."""
