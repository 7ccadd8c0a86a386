"""Imitation that does not let the model forget what the system does."""

import equinox as eqx

from jaxmpc import learning


class Anchored(eqx.Module):
    """Imitation with a little prediction, so that the model stays one of the system.

    Examples are pairs (those of the one, those of the other).
    """

    imitation: learning.Imitation
    prediction: learning.Prediction
    weight: float

    def __call__(self, params, examples, plans) -> learning.Outcome:
        """The weighted sum; solved where the imitation is."""
        imitated = self.imitation(params, examples[0], plans)
        predicted = self.prediction(params, examples[1])
        return imitated._replace(losses=imitated.losses + self.weight * predicted.losses)

    def first_plans(self, params, examples):
        """The imitation's."""
        return self.imitation.first_plans(params, examples[0])
