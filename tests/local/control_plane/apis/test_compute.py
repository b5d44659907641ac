"""Numbers of Compute Engine's resources."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.control_plane.apis.compute import derive_resource_number

pytestmark = pytest.mark.unit


def test_a_resource_number_is_stable_and_fits_the_providers_integer() -> None:
    """A number of 19 digits may exceed a signed 64-bit integer, which made a deploy in this region fail."""
    moved = "projects/vlille-dev/regions/europe-west4/subnetworks/vlille-batch"
    assert derive_resource_number(moved) == derive_resource_number(moved) == "8256115906802357324"


@given(st.text())
def test_every_number_has_19_digits_and_63_bits(name: str) -> None:
    assert 10**18 <= int(derive_resource_number(name)) < 2**63
