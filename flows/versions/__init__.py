"""Git and DVC: what is recorded of code and data, how a run of the graph is made, undone and traced, and what lies in caches and remotes."""
