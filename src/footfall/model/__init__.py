"""The sequence model: network, batches, losses, trainer, scorer. Imports torch, transformers and numpy; opens no file, reads no clock."""
