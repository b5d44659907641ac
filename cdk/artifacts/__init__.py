"""The code that a deploy uploads: reproducible archives, the Spark job's packages, and an SBOM of each."""
