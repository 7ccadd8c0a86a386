"""Trajectories: rollout, objective, and their expansion to second order."""

from jaxmpc.trajectory.defects import defect as defect, defects as defects
from jaxmpc.trajectory.expansion import (
    Derivatives as Derivatives,
    Hessians as Hessians,
    Linearization as Linearization,
    costates as costates,
    derivatives as derivatives,
    dynamics_curvature as dynamics_curvature,
    lq_model as lq_model,
)
from jaxmpc.trajectory.kkt import (
    BoundMultipliers as BoundMultipliers,
    bound_multipliers as bound_multipliers,
    kkt_residuals as kkt_residuals,
)
from jaxmpc.trajectory.rollout import (
    Trajectory as Trajectory,
    objective as objective,
    open_loop as open_loop,
    rollout as rollout,
)
from jaxmpc.trajectory.scales import (
    falls_without_limit as falls_without_limit,
    no_scales as no_scales,
    scales_now as scales_now,
    scales_of as scales_of,
)
