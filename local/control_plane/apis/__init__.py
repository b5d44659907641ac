"""One module per Google API that Terraform's google provider calls, with its routes."""
