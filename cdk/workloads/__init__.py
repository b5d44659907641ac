"""What runs: the collectors, the copier, the nightly batch, the dashboard, and the build of their images."""
