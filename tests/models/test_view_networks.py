"""Networks beside the lines: what they think together, and how sure they are of it."""

from __future__ import annotations

import torch

from emotrack.models.view_networks import LEAST, ViewNetworks


def test_they_are_as_sure_as_they_agree() -> None:
    networks = ViewNetworks(2, 4, 3, 2).requires_grad_(False)
    networks.weight.zero_()
    networks.bias.copy_(torch.tensor([[[9.0, -9.0]], [[9.0, -9.0]]]))
    views = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(networks(views).exp(), torch.tensor([[1.0, LEAST]]).expand(5, 2))
    networks.bias[1].neg_()
    torch.testing.assert_close(networks(views).exp(), torch.full((5, 2), 0.5))


def test_each_may_be_given_views_of_its_own() -> None:
    torch.manual_seed(0)
    networks, views = ViewNetworks(2, 4, 3, 2), torch.randn(5, 4)
    torch.testing.assert_close(networks.scores(views.expand(2, 5, 4)), networks.scores(views))
    assert not torch.allclose(networks.scores(views)[0], networks.scores(views)[1])
