"""Words in rows: categories, codes that stay for ever, bags of tokens."""

import subprocess
import sys

import numpy as np
import pytest

from agent.encode import Encoder, EncoderSettings
from agent.hashing import word_code
from streams.schema import Kind
from tests.encoders import run


def test_an_unseen_word_gets_a_row_of_its_own_at_once() -> None:
    encoder = Encoder({"w": "categorical"}, EncoderSettings())
    rows, _ = run(encoder, [(f"word {i}",) for i in range(50)])
    assert np.allclose(np.square(rows[:, :8]).sum(1), 2)
    assert len({row.tobytes() for row in rows[:, :8]}) == 50


def test_codes_stand_last_whole_numbers_of_field_and_word_with_none_at_zero() -> None:
    fields: dict[str, Kind] = {"shop": "categorical", "x": "numeric", "city": "categorical"}
    encoder = Encoder(fields, EncoderSettings())
    values = [(f"w{i % 100}", 1.0, f"w{i % 100}" if i % 3 else None) for i in range(300)]
    rows, _ = run(encoder, values)
    assert (encoder.codes, encoder.columns[-2:]) == (2, ("shop#", "city#"))
    shop, city = rows[:, -2].astype(np.int64), rows[:, -1].astype(np.int64)
    assert np.array_equal(rows[:, -2], shop)
    assert (shop >= 1).all()
    assert (shop < 2**20).all()
    assert len(set(shop.tolist())) == 100
    assert np.array_equal(shop[:100], shop[100:200])
    assert not city[::3].any()
    assert (city[1::3] != shop[1::3]).all()


def test_a_code_is_the_same_for_ever() -> None:
    assert word_code("shop=bakery") == 677859


def test_the_same_word_differs_from_field_to_field() -> None:
    fields: dict[str, Kind] = {f"f{i}": "categorical" for i in range(6)}
    rows, _ = run(Encoder(fields, EncoderSettings()), [("same",) * 6])
    assert len({rows[0, i : i + 8].tobytes() for i in range(0, 48, 8)}) > 1


def test_tokens_are_a_bag_scaled_by_the_root_of_its_size() -> None:
    encoder = Encoder({"t": "tokens"}, EncoderSettings())
    rows, _ = run(encoder, [(("a", "b"),), (("b", "a"),), (("a",) * 4,), (("a",),), ((),)])
    assert np.array_equal(rows[0], rows[1])
    assert np.array_equal(rows[2], 2 * rows[3])
    assert not rows[4].any()


def test_a_word_of_a_bag_has_one_column_in_each_quarter_and_keeps_its_length() -> None:
    encoder = Encoder({"t": "tokens"}, EncoderSettings(tokens_width=32))
    rows, _ = run(encoder, [((f"word {i}",),) for i in range(400)])
    assert np.array_equal(np.count_nonzero(rows.reshape(400, 4, 8), axis=2), np.ones((400, 4)))
    assert np.allclose(np.square(rows).sum(1), 2)
    assert len({row.tobytes() for row in rows}) > 390
    used = np.count_nonzero(rows, axis=0)
    assert used.min() > 25
    assert abs(np.sign(rows).sum()) < 4 * 40  # as many + as -, within four deviations


@pytest.mark.parametrize("width", [1, 3, 6])
def test_a_narrow_bag_still_hashes(width: int) -> None:
    encoder = Encoder({"t": "tokens"}, EncoderSettings(tokens_width=width))
    rows, _ = run(encoder, [((f"word {i}",),) for i in range(50)])
    assert np.allclose(np.square(rows).sum(1), 2)


def test_bags_do_not_depend_on_the_order_of_their_words() -> None:
    encoder = Encoder({"t": "tokens"}, EncoderSettings(tokens_width=16))
    words = [f"w{i}" for i in range(60)]
    rows, _ = run(encoder, [(tuple(words),), (tuple(reversed(words)),)])
    assert np.array_equal(rows[0], rows[1])


def test_words_hash_the_same_in_every_process() -> None:
    code = (
        "from agent.hashing import projected_row\n"
        "print([projected_row(f'f={i}', 8).tolist() for i in range(20)])"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1
