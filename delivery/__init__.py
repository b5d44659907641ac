"""From a pull request to a deployed environment, on GitHub: what was reviewed is what is applied."""
