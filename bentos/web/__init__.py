"""HTTP itself: the door, bodies and their fields, problems, the table of endpoints, and the document that says it all."""
