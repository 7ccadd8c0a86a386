"""Angles and attitudes, as one reads them."""

import numpy as np
import pytest
from matplotlib import pyplot
from pictures import png

from jaxmpc import plot, spaces
from jaxmpc.plot.columns import columns_of, readable


def test_angles_have_no_jumps_and_quaternions_are_three_angles():
    space = spaces.Product(spaces.Circle(), spaces.UnitQuaternion(), spaces.Euclidean(1))
    angle, yaw = np.linspace(2.5, 4.5, 9), np.linspace(-2.0, -6.0, 9)
    wrapped = np.angle(np.exp(1j * angle))
    q = np.stack([np.cos(yaw / 2), 0 * yaw, 0 * yaw, np.sin(yaw / 2)], axis=1)
    states = np.concatenate([wrapped[:, None], q, angle[:, None]], axis=1)
    columns = readable(space, states)
    assert list(columns) == ["x[0] [rad]", "roll [rad]", "pitch [rad]", "yaw [rad]", "x[5]"]
    np.testing.assert_allclose(columns["x[0] [rad]"], angle)
    np.testing.assert_allclose(columns["yaw [rad]"], yaw, atol=1e-12)
    longer = readable(space, states * np.array([1.0, 1.2, 1.2, 1.2, 1.2, 1.0]))
    np.testing.assert_allclose(longer["yaw [rad]"], yaw, atol=1e-12)
    two = spaces.Product(spaces.UnitQuaternion(), spaces.UnitQuaternion())
    assert len(readable(two, np.concatenate([q, q], axis=1))) == 6
    batch = readable(space, np.stack([states, states]))
    np.testing.assert_allclose(batch["x[0] [rad]"][1], angle)


def test_labels_of_numbers_and_of_columns():
    space = spaces.Product(spaces.UnitQuaternion(), spaces.Euclidean(1))
    states, controls = np.ones((4, 5)), np.ones((3, 1))
    of_numbers = columns_of("f", states, controls, ["w", "x", "y", "z", "height", "lift"], space)
    wanted = ["roll [rad]", "pitch [rad]", "yaw [rad]", "height", "lift"]
    assert [column.label for column in of_numbers] == wanted
    of_columns = columns_of("f", states, controls, ["a", "b", "c", "height", "lift"], space)
    assert [column.label for column in of_columns] == ["a", "b", "c", "height", "lift"]
    with pytest.raises(ValueError, match=r"got 4 labels; wanted n \+ m = 5 \(or 6, of all numbers"):
        columns_of("f", states, controls, ["a", "b", "c", "d"], space)


def test_the_axes_of_a_body():
    q = np.array([[1.0, 0, 0, 0], [0.0, 1.0, 0, 0]])  # the second upside down
    axis = plot.plot_attitudes(q, every=1)
    drawn = [line for line in axis.lines if len(line.get_data_3d()[0])]
    assert {line.get_linestyle() for line in drawn} == {":", "--", "-"}
    ends = [np.stack(line.get_data_3d()) for line in drawn]
    np.testing.assert_allclose(ends[5][:, 1] - ends[5][:, 0], [0, 0, -1.0], atol=1e-12)
    png(axis)
    moved = plot.plot_attitudes(q, np.array([[0.0, 0, 0], [1.0, 2.0, 3.0]]), every=1)
    assert moved.get_xlabel() == "x [m]"
    png(moved)


def test_attitudes_need_three_dimensions():
    figure = pyplot.figure()
    given = figure.add_subplot(projection="3d")
    assert plot.plot_attitudes(np.eye(4)[:2], axes=given) is given
    with pytest.raises(ValueError, match='axes must be of projection="3d"; got flat ones'):
        plot.plot_attitudes(np.eye(4)[:2], axes=pyplot.figure().add_subplot())
