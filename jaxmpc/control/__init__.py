"""Control loops: receding horizon, simulation, real time, and values for learning."""

from jaxmpc.control.closed_loop import Prediction as Prediction, Simulation as Simulation
from jaxmpc.control.exporting import ExportedController as ExportedController, export as export
from jaxmpc.control.plan import Plan as Plan
from jaxmpc.control.real_time import AdvancedStep as AdvancedStep, RealTime as RealTime
from jaxmpc.control.receding_horizon import RecedingHorizon as RecedingHorizon
from jaxmpc.control.references import window as window
from jaxmpc.control.shifting import shift as shift
from jaxmpc.control.simulation import Controller as Controller, simulate as simulate
from jaxmpc.control.timing import TimingReport as TimingReport
from jaxmpc.control.values import (
    action_value as action_value,
    discounted as discounted,
    value as value,
)
from jaxmpc.presentation.names import present

present(__name__)
