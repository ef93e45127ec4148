"""Every endpoint. What is not here, a probe (`bentos.web.door`) or /metrics does not exist."""

from __future__ import annotations

from bentos.routes import about, events, rules, shop, slates
from bentos.web.endpoints import Endpoint

ENDPOINTS: tuple[Endpoint, ...] = (*slates.ENDPOINTS, *events.ENDPOINTS, *shop.ENDPOINTS, *rules.ENDPOINTS, *about.ENDPOINTS)
