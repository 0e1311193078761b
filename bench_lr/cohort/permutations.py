"""The data orders of many seeds and epochs at once, where NumPy's call takes longer than the steps.

`epoch_orders` gives what `streams.epoch_order` gives, number for number: NumPy's generator is the
oracle in the tests. It is made of NumPy's `SeedSequence` (O'Neill, "Developing a seed_seq
alternative", 2015), of PCG64DXSM, and of a Fisher-Yates shuffle from the end, each of whose places
is drawn from 32 bits: as many of the lowest as it may need, again until it is not too large.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bench_lr.cohort.compiling import compiled

_16, _32, _48 = np.uint64(16), np.uint64(32), np.uint64(48)
_ZERO, _ONE = np.uint64(0), np.uint64(1)
_LOW = np.uint64(0xFFFFFFFF)
_INIT_A, _MULT_A = np.uint64(0x43B0D7E5), np.uint64(0x931E8875)
_INIT_B, _MULT_B = np.uint64(0x8B51F9DD), np.uint64(0x58F38DED)
_MIX_L, _MIX_R = np.uint64(0xCA01F9DD), np.uint64(0x4973F715)
_CHEAP = np.uint64(0xDA942042E4DD58B5)
_SEED_HIGH, _SEED_LOW = np.uint64(0x2360ED051FC65DA4), np.uint64(0x4385DF649FCCF645)


def epoch_orders(seeds: Sequence[int], epochs: range, examples: int) -> npt.NDArray[np.int64]:
    """Order in which each seed visits its training examples, (epochs, seeds, examples)."""
    # The words of `stream_key(seed, "order", epoch)`, the last first.
    texts = (f'[{seed},"order",{epoch}]' for epoch in epochs for seed in seeds)
    digests = b"".join(hashlib.sha256(text.encode()).digest()[:16] for text in texts)
    keys = np.frombuffer(digests, ">u4").reshape(-1, 4)[:, ::-1].astype(np.uint64)
    orders = np.empty((len(keys), examples), np.int64)
    shuffled(keys, orders)
    return orders.reshape(len(epochs), len(seeds), examples)


@compiled
def seed_words(key, words):  # type: ignore[no-untyped-def]
    """State that a `SeedSequence` of four 32-bit words generates, as eight such words."""
    pool = np.empty(4, np.uint64)
    constant = _INIT_A
    for i in range(4):
        value = key[i] ^ constant
        constant = (constant * _MULT_A) & _LOW
        value = (value * constant) & _LOW
        pool[i] = value ^ (value >> _16)
    for source in range(4):
        for i in range(4):
            if source != i:
                value = pool[source] ^ constant
                constant = (constant * _MULT_A) & _LOW
                value = (value * constant) & _LOW
                value = value ^ (value >> _16)
                value = (pool[i] * _MIX_L - value * _MIX_R) & _LOW
                pool[i] = value ^ (value >> _16)
    constant = _INIT_B
    for i in range(8):
        value = pool[i % 4] ^ constant
        constant = (constant * _MULT_B) & _LOW
        value = (value * constant) & _LOW
        words[i] = value ^ (value >> _16)


@compiled
def advance(state, times_high, times_low):  # type: ignore[no-untyped-def]
    """Multiply a state of 128 bits (high, low) and add its increment (high, low, behind it)."""
    high, low = state[0], state[1]
    # 64 times 64 bits, by halves.
    a, b = low & _LOW, low >> _32
    c, d = times_low & _LOW, times_low >> _32
    middle = b * c + ((a * c) >> _32)
    other = a * d + (middle & _LOW)
    carried = b * d + (middle >> _32) + (other >> _32)
    product = low * times_low
    total = product + state[3]
    carry = _ONE if total < product else _ZERO
    state[0] = carried + high * times_low + low * times_high + state[2] + carry
    state[1] = total


@compiled
def shuffled(keys, orders):  # type: ignore[no-untyped-def]
    """Fill each row with the whole numbers from 0 on, in the order that its key gives."""
    words, state = np.empty(8, np.uint64), np.empty(4, np.uint64)
    for row in range(len(keys)):
        seed_words(keys[row], words)
        start_high, start_low = words[0] | (words[1] << _32), words[2] | (words[3] << _32)
        high, low = words[4] | (words[5] << _32), words[6] | (words[7] << _32)
        state[2] = (high << _ONE) | (low >> np.uint64(63))
        state[3] = (low << _ONE) | _ONE
        # From zero one step gives the increment, to which the start is added before the next.
        state[1] = state[3] + start_low
        state[0] = state[2] + start_high + (_ONE if state[1] < start_low else _ZERO)
        advance(state, _SEED_HIGH, _SEED_LOW)
        order = orders[row]
        for i in range(len(order)):
            order[i] = i
        has_half, half, mask = False, _ZERO, _LOW
        for i in range(len(order) - 1, 0, -1):
            most = np.uint64(i)
            while mask >> _ONE >= most:
                mask >>= _ONE
            number = _LOW
            while number > most:
                if has_half:
                    number, has_half = half, False
                else:
                    # The output function, of the state before the step.
                    number = state[0]
                    number ^= number >> _32
                    number *= _CHEAP
                    number ^= number >> _48
                    number *= state[1] | _ONE
                    advance(state, _ZERO, _CHEAP)
                    half, has_half = number >> _32, True
                number &= mask
            j = np.int64(number)
            order[i], order[j] = order[j], order[i]
