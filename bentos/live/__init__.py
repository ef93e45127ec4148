"""What a worker knows from the live store, and what it writes there."""
