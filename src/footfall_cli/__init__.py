"""The `footfall` command: the top floor. Imports everything lazily; nothing imports it."""
