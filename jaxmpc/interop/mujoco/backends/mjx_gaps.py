"""What MJX leaves out without a word, and where its derivatives are wrong: refused by name."""

import numpy as np

from jaxmpc.interop.mujoco.engine import MjModel, mujoco
from jaxmpc.interop.mujoco.parameters import Parameters

# Fields that change MuJoCo's steps where they are not zero, and that MJX does not read.
_UNREAD = {
    "polynomial stiffness and damping": (
        "jnt_stiffnesspoly",
        "tendon_stiffnesspoly",
        "dof_dampingpoly",
        "tendon_dampingpoly",
    ),
    "damping and armature of actuators": (
        "actuator_damping",
        "actuator_dampingpoly",
        "actuator_armature",
    ),
    "fluid forces on ellipsoids": ("geom_fluid",),
    "springs that yield": ("jnt_springyield", "tendon_springyield"),
    "adhesion and moving surfaces of geoms": ("geom_adhesion", "pair_adhesion", "geom_surfacevel"),
}


def refuse_missing_parts(model: MjModel):
    """Raise where steps of MJX would not be MuJoCo's."""
    parts = [part for part, names in _UNREAD.items() if any(_there(model, n) for n in names)]
    if model.opt.noslip_iterations:
        parts.append("noslip iterations")
    if parts:
        raise NotImplementedError(
            f"robot: backend 'mjx' does not have {parts} of this model; use backend='c'."
        )


def _there(model: MjModel, name: str) -> bool:
    return bool(np.any(getattr(model, name, 0)))  # fields that MuJoCo 3 has not are not there


def refuse_wrong_slopes(model: MjModel, parameters: Parameters, constrained: bool):
    """Raise where MJX has wrong derivatives: of turns and rates of no length, and within RK4."""
    joint, through = mujoco.mjtJoint, mujoco.mjtTrn
    turning = np.isin(model.jnt_type, [int(joint.mjJNT_BALL), int(joint.mjJNT_FREE)])
    on_joints = [int(through.mjTRN_JOINT), int(through.mjTRN_JOINTINPARENT)]
    moved = model.actuator_trnid[:, 0][np.isin(model.actuator_trntype, on_joints)]
    relative = model.actuator_trnid[:, 1][model.actuator_trntype == int(through.mjTRN_SITE)]
    springs = "jnt_stiffness" in parameters.values or model.jnt_stiffness[turning].any()
    rk4 = model.opt.integrator == int(mujoco.mjtIntegrator.mjINT_RK4)
    wrong = {
        "ball and free joints by integrator RK4": turning.any() and rk4,
        "contacts, limits and other constraints by integrator RK4 (implicitfast has them)": (
            constrained and rk4
        ),
        "ball and free joints with stiffness": turning.any() and springs,
        "actuators of ball and free joints": turning[moved].any(),
        "actuators of sites with a refsite": (relative >= 0).any(),
    }
    parts = [part for part, there in wrong.items() if there]
    if parts:
        raise NotImplementedError(
            f"robot: backend 'mjx' has wrong derivatives of {parts}; use backend='c'."
        )
