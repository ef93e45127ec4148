"""Footfall: from a shop's behaviour events to recommendations. Usable without Prefect, DVC, Great Expectations, BentoML or Evidently."""
