"""What a request to the API carries, and how secrets are kept out of texts."""
