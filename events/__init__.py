"""Facts: what happened to a case, decoded, allow-listed and validated before anything else sees it."""
