"""Deploy, destroy and bootstrap: prerequisites, Terraform and its state, plans, adoption, orphaned resources."""
