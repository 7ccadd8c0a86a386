"""Learning parameters of costs and dynamics from examples, through the solver."""

from jaxmpc.learning.examples import Examples as Examples
from jaxmpc.learning.fitting import Fit as Fit, fit as fit
from jaxmpc.learning.history import History as History
from jaxmpc.learning.losses import (
    Imitation as Imitation,
    Loss as Loss,
    Outcome as Outcome,
    PerExample as PerExample,
    Prediction as Prediction,
)
from jaxmpc.learning.training import (
    Batches as Batches,
    Epoch as Epoch,
    Learner as Learner,
    batches as batches,
    epoch as epoch,
    evaluate as evaluate,
)
from jaxmpc.learning.transforms import (
    Bounded as Bounded,
    Positive as Positive,
    PositiveDefinite as PositiveDefinite,
    Transformed as Transformed,
    plain as plain,
)
from jaxmpc.learning.weighted_sum import WeightedSum as WeightedSum
from jaxmpc.presentation.names import present

present(__name__)
