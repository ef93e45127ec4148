"""Scoring on CPU: trained weights and histories in, a logit an item out. The same packing and the same forward as in training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from footfall.core.metrics import UNRANKED
from footfall.core.outlook import SPANS, Outlook
from footfall.core.rhythm import Moments
from footfall.core.sequence_model import HEADS, check_weights
from footfall.core.sequences import Int32, Int64, Sequences
from footfall.core.signals import unknown_signals
from footfall.model.batches import Layout, group, pack_users
from footfall.model.network import SequenceNetwork, Shape
from footfall.model.packs import Pack
from footfall.model.prepared import prepare

Float32 = npt.NDArray[np.float32]

_EVENTS_A_BATCH = 16_384
_SHAPE = tuple(field.name for field in fields(Shape))


class Scorer:
    """A trained model, ready to score. Holds no state between calls, so threads may share it.

    Args:
        config: what config.json holds.
        weights: parameter name -> array, as in model.safetensors.
        threads: torch threads of this process from now on; None leaves them as they are.

    Raises:
        ValueError: a foreign configuration, or weights that do not fit it.
    """

    def __init__(self, config: Mapping[str, Any], weights: Mapping[str, npt.NDArray[Any]], threads: int | None = None) -> None:
        check_weights(config, weights)
        if threads is not None:
            torch.set_num_threads(threads)
        self.shape = Shape(**{name: config[name] for name in _SHAPE if name in config})
        # Drawing weights only to replace them takes milliseconds; on the "meta" device it would import torch._dynamo, for seconds.
        with torch.random.fork_rng(devices=[]):
            model = SequenceNetwork(self.shape)
        if not any(name.startswith(HEADS) for name in weights):  # a model from before there were heads: it has none that were taught
            weights = dict(weights) | {name: tensor.numpy() for name, tensor in model.state_dict().items() if name.startswith(HEADS)}
        model.load_state_dict({name: torch.tensor(array, dtype=torch.float32) for name, array in weights.items()}, assign=True)
        self._model = model.eval()

    @classmethod
    def of(cls, network: SequenceNetwork, *, on_gpu: bool = False) -> Scorer:
        """A scorer of a network that is there already; it is put into evaluation mode, and with `on_gpu` on a GPU where there is one."""
        if on_gpu and torch.cuda.is_available():
            nn.Module.to(network, torch.device("cuda"))
        made = cls.__new__(cls)
        made.shape, made._model = network.shape, network.eval()
        return made

    def scores(self, sequences: Sequences) -> Float32:
        """(U, V) logits of what each user buys next; column j is item_index j + 1. An empty history scores zero everywhere.

        Only a user's newest `max_events` events are read.

        Raises:
            ValueError: an item_index or event type that the model does not know.
        """
        logits = np.zeros((len(sequences), self.shape.items), np.float32)
        with torch.inference_mode():
            for users, packed in self._packs(sequences):
                logits[users] = self._model.scores(packed).cpu().numpy()
        return logits

    def vectors(self, sequences: Sequences) -> Float32:
        """(U, dim) state of each user after the newest moment; zeros for an empty history."""
        states = np.zeros((len(sequences), self.shape.dim), np.float32)
        with torch.inference_mode():
            for users, packed in self._packs(sequences):
                states[users[packed.order.numpy()]] = self._model(packed, newest=True)[0].cpu().numpy()
        return states

    def ranks(self, sequences: Sequences, targets: Int32 | Int64, *, masked: bool) -> Int64:
        """`core.metrics.ranks` of each user's target by these scores, counted where the model lies, so that no score leaves it.

        Args:
            sequences: U histories that are not empty.
            targets: (U,) item_index, one a user, from 1 on.
            masked: take all of the user's own history out of the ranking.
        """
        found = np.zeros(len(sequences), np.int64)
        with torch.inference_mode():
            for users, packed in self._packs(sequences):
                scores = self._model.scores(packed)
                column = torch.from_numpy(targets[users].astype(np.int64) - 1).to(scores.device)[:, None]
                own = scores.gather(1, column)
                seen = sequences.take(users)
                if masked:
                    cells = torch.from_numpy(np.stack([seen.owners, seen.item_index.astype(np.int64) - 1])[:, seen.item_index > 0])
                    scores.index_put_(tuple(cells.to(scores.device)), scores.new_tensor(-torch.inf))
                before = (scores > own).sum(1)
                ties = (scores == own) & (torch.arange(self.shape.items, device=scores.device) < column)
                hidden = scores.gather(1, column)[:, 0] == -torch.inf
                found[users] = (before + ties.sum(1)).masked_fill_(hidden, UNRANKED).cpu().numpy()
        return found

    def outlook(self, sequences: Sequences, at: int | Int64) -> Outlook | None:
        """Which event type each user's next event has, and when the next purchase comes, seen from `at` (microseconds; one for all or (U,)).

        Only what happened before `at` is read. NaN for an empty history; None where the heads were never taught.
        """
        if not self._model.heads.taught:
            return None
        history = sequences.before(at)
        known = np.flatnonzero(history.lengths)
        types, hazard = np.full((len(history), self.shape.event_types), np.nan), np.full((len(history), SPANS), np.nan)
        if len(known):
            moments = np.broadcast_to(np.asarray(at, np.int64), len(history))[known]
            figures = Moments(history).figures(known, moments, self.shape.max_events)
            with torch.inference_mode():
                told = (torch.from_numpy(part).to(self._model.item_bias.device) for part in (self.vectors(history)[known], np.float32(figures)))
                logits, rates = (answer.double().cpu() for answer in self._model.heads(*told))
            types[known], hazard[known] = logits.softmax(1).numpy(), rates.exp().numpy()
        return Outlook(types, hazard)

    def _packs(self, sequences: Sequences) -> Iterator[tuple[Int64, Pack]]:
        """Users with a history, by position, in packs."""
        highest, types = int(sequences.item_index.max(initial=0)), int(sequences.event_type.max(initial=0))
        if highest > self.shape.items or types >= self.shape.event_types or int(sequences.item_index.min(initial=0)) < 0:
            raise ValueError(
                f"item_index up to {highest} and event type up to {types}; the model knows {self.shape.items} and {self.shape.event_types}"
            )
        if problem := unknown_signals(sequences, self.shape.queries, self.shape.durations):
            raise ValueError(problem)
        newest, device = sequences.last(self.shape.max_events), self._model.item_bias.device
        layout = Layout.SIMILAR if device.type == "cuda" else Layout.EXACT
        for users in group(newest.lengths, _EVENTS_A_BATCH, np.flatnonzero(newest.lengths)):
            yield users, pack_users(prepare(newest.take(users)).to(device), np.arange(len(users)), layout)
