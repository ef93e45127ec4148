"""From a checked request to a slate: asking, ranking, answering."""
