"""Batches of query and retrieve: `lists` reads what people write, the steps fetch it row by row."""
