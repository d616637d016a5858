"""Names packed into arrays come back as they were."""

from hypothesis import given
from hypothesis import strategies as st

from streams.packed import pack, unpack


@given(st.lists(st.text()))
def test_names_come_back_as_they_were(names: list[str]) -> None:
    assert unpack(*pack(names)) == names
