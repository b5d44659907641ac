"""Cloud Storage and Artifact Registry: buckets, objects, access lists, repositories."""
