"""A feed's folder: source.toml and sample.json become a Feed."""
