"""From an empty Google Cloud project to a deployed environment and back: `python -m operate`."""
