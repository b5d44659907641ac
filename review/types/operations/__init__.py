"""Operations: log buckets, service level objectives, budgets, APIs, log metrics."""
