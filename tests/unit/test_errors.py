"""What is said of a number that does not fit, in one voice."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from careedu.errors import InvalidInputError, check_number
from careedu.nn.contrastive import nt_xent


@pytest.mark.parametrize(
    ("value", "within"),
    [
        (0, "[0, 1)"),
        (0.999, "[0, 1)"),
        (1, "(0, 1]"),
        (1e300, "(0, inf)"),
        (Fraction(1, 3), "(0, 1)"),
        (np.float32(0.5), "(0, 1)"),
        (np.int64(3), "whole [1, 3]"),
        (2**31, "whole [0, 4294967295]"),
        (torch.tensor(0.2, requires_grad=True), "(0, inf)"),
        (np.array(0.2), "(0, inf)"),
    ],
)
def test_what_fits_passes(value, within):
    check_number("x", value, within)


@pytest.mark.parametrize(
    ("value", "within", "says"),
    [
        (1, "[0, 1)", "x=1 must be a number in [0, 1)"),
        (0, "(0, 1]", "x=0 must be a number in (0, 1]"),
        (-1, "[0, inf)", "x=-1 must be a finite number at least 0"),
        (0.0, "(0, inf)", "x=0.0 must be a finite number above 0"),
        (math.inf, "[0, inf)", "x=inf must be a finite number at least 0"),
        (math.nan, "[0, 1]", "x=nan must be a number in [0, 1]"),
        ("0.5", "[0, 1]", "x='0.5' must be a number in [0, 1]"),
        (None, "[0, 1]", "x=None must be a number in [0, 1]"),
        (True, "[0, 1]", "x=True must be a number in [0, 1]"),
        (np.True_, "whole [0, 1]", "x=np.True_ must be a whole number from 0 to 1"),
        (2.0, "whole [1, inf)", "x=2.0 must be a whole number at least 1"),
        (torch.tensor(0.0), "(0, inf)", "x=tensor(0.) must be a finite number above 0"),
        (torch.tensor([0.2]), "(0, inf)", "x=tensor([0.2000]) must be a finite number above 0"),
        (torch.tensor(2), "whole [1, inf)", "x=tensor(2) must be a whole number at least 1"),
        (2**32, "whole [0, 4294967295]", "x=4294967296 must be a whole number from 0 to 4294967295"),
    ],
)
def test_what_does_not_fit_is_named_with_what_would(value, within, says):
    with pytest.raises(InvalidInputError) as caught:
        check_number("x", value, within)
    assert str(caught.value) == says
    with pytest.raises(InvalidInputError) as caught:
        check_number("x", value, within, "it counts images")
    assert str(caught.value) == f"{says}; it counts images"


@given(
    st.floats(allow_nan=True, allow_infinity=True),
    st.integers(-3, 3),
    st.integers(1, 4),
    st.sampled_from("[("),
    st.booleans(),
)
def test_intervals_are_those_of_mathematics(value, low, width, opens, closed):
    high = low + width
    fits = (low <= value if opens == "[" else low < value) and (value <= high if closed else value < high)
    try:
        check_number("x", value, f"{opens}{low}, {high}{']' if closed else ')'}")
    except InvalidInputError:
        assert not fits
    else:
        assert fits


def test_a_number_that_is_learned_has_its_gradient():
    z = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0))
    temperature = torch.tensor(0.2, requires_grad=True)
    loss = nt_xent(z[0], z[1], temperature)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(float(nt_xent(z[0], z[1], 0.2)))
    assert float(temperature.grad) != 0
