"""The JSON files of the GBFS specification: decoded, and read in the terms of version 3."""
