"""What is wrong with data that could be read: schema drift, implausible values, stale and frozen feeds."""
