"""How a loss uses its parameters: the jaxpr as one flat list of equations, and the matrix products in it.

A weight matrix W [p, q] that enters a loss only through products y = x W (x [T, p], y [T, q], T the
"tokens" of one example) has the gradient sum_t outer(x_t, dL/dy_t). Whoever knows x and dL/dy knows
everything about that gradient without forming it. This file finds those products (dots, convolutions,
table look-ups) in the jaxpr of any one-example loss, so on any Flax model, and evaluates the loss with
a "tap" added to each y: the gradient with respect to a tap of zeros is dL/dy.

**Guarantees.** A leaf is reported by `products` only if every path from it into the loss is
reshapes, transposes and casts to floats that keep each entry exactly once, and then a matrix product. That is
proved by following the leaf's entries, numbered, through those operations. All products of a leaf are
reported, in one layout. Any other leaf is not reported.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import JaxprEqn, Literal

from fpu.dp import _matrices, _mixing

# Calls that only group equations, and where they keep them. A custom_jvp or custom_vjp is none: inlining
# would drop its own derivative.
_CALLS = {"jit": "jaxpr", "closed_call": "call_jaxpr", "checkpoint": "jaxpr"}

# What each operation does to an array, here to the numbers of a leaf's entries.
_VIEWS: dict[str, Callable[[np.ndarray, dict[str, Any]], np.ndarray]] = {
    "convert_element_type": lambda entries, params: entries,
    "transpose": lambda entries, params: entries.transpose(params["permutation"]),
    "reshape": lambda entries, params: entries.reshape(params["new_sizes"]),
    "squeeze": lambda entries, params: entries.squeeze(params["dimensions"]),
}


class Equation(NamedTuple):
    """One equation; its values live in numbered slots."""

    eqn: JaxprEqn
    inputs: list[int]
    outputs: list[int]


class Program(NamedTuple):
    """A jaxpr with scalar output without calls."""

    equations: list[Equation]
    constants: dict[int, Any]
    inputs: list[int]
    output: int


class Product(NamedTuple):
    """One use of a leaf W, seen as a matrix [p, q]: y = x W, or y = x W^T where `transposed`."""

    equation: int  # its number in the program
    side: int  # which operand is W, 0 or 1
    tokens: int  # T, the vectors of x
    transposed: bool
    shape: tuple[int, int]  # p, q


def program(function: Callable, *arguments: Any) -> Program:
    """Trace function(*arguments) -> scalar and inline its calls. Values of the arguments are not used.

    A jaxpr is a list of equations `outputs = primitive(inputs)`. Here each of its variables becomes a numbered slot.
    An equation that calls another jaxpr f is replaced by the equations of f: f's inputs are the slots of the
    call's inputs, and the call's outputs are the slots of f's outputs, so no value is copied.

    Raises: ValueError: the function does not return one floating-point number and nothing else, or _mixing.check.
    """
    closed, result = jax.make_jaxpr(function, return_shape=True)(*arguments)
    if getattr(result, "shape", None) != () or not jnp.issubdtype(result.dtype, jnp.floating):
        given = jax.tree.map(lambda x: f"{x.dtype}{list(x.shape)}", result)
        raise ValueError(
            f"loss must return one float for ONE example and nothing else, not {given}"
        )
    _mixing.check(closed.jaxpr)
    # Derivatives of somebody's own (custom_jvp, custom_vjp) are in the jaxpr of the gradient alone.
    _mixing.check(jax.make_jaxpr(jax.grad(function))(*arguments).jaxpr)
    equations, constants, unused = [], {}, itertools.count()

    def constant(value) -> int:
        slot = next(unused)
        # Rules of custom_vjp take no numpy arrays.
        constants[slot] = jnp.asarray(value) if np.ndim(value) else value
        return slot

    def inline(jaxpr, consts, inputs) -> list[int]:
        """Append the equations of a jaxpr with these input slots; its output slots."""
        slots = dict(zip(jaxpr.constvars, map(constant, consts), strict=True))
        slots |= dict(zip(jaxpr.invars, inputs, strict=True))

        def read(atom) -> int:
            return constant(atom.val) if isinstance(atom, Literal) else slots[atom]

        for eqn in jaxpr.eqns:
            inputs = [read(atom) for atom in eqn.invars]
            inner = eqn.params.get(_CALLS.get(eqn.primitive.name))
            if inner is None:
                outputs = [next(unused) for _ in eqn.outvars]
                equations.append(Equation(eqn, inputs, outputs))
            else:  # outputs = f(inputs): the equations of f in its place
                outputs = inline(
                    getattr(inner, "jaxpr", inner), getattr(inner, "consts", ()), inputs
                )
            slots |= dict(zip(eqn.outvars, outputs, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    inputs = [next(unused) for _ in closed.jaxpr.invars]
    (output,) = inline(closed.jaxpr, closed.consts, inputs)
    return Program(_needed(equations, output), constants, inputs, output)


def _needed(equations: list[Equation], output: int) -> list[Equation]:
    """Those that the output depends on: a use that nothing comes of is none."""
    wanted, kept = {output}, []
    for equation in reversed(equations):
        if wanted.intersection(equation.outputs):
            wanted.update(equation.inputs)
            kept.append(equation)
    return kept[::-1]


def evaluate(program: Program, arguments: Sequence[jax.Array], taps: dict[int, jax.Array]):
    """The values of all slots, with taps[i] added to the first output of equation i."""
    values = dict(program.constants)
    values |= dict(zip(program.inputs, arguments, strict=True))
    for number, (eqn, inputs, outputs) in enumerate(program.equations):
        with eqn.ctx.manager:
            result = eqn.primitive.bind(
                *(values[slot] for slot in inputs), **eqn.primitive.get_bind_params(eqn.params)
            )
        results = list(result) if eqn.primitive.multiple_results else [result]
        if number in taps:
            results[0] = results[0] + taps[number]
        values |= dict(zip(outputs, results, strict=True))
    return values


def products(program: Program, shapes: Sequence[tuple[int, ...]]) -> dict[int, list[Product]]:
    """The matrix products of those of the first len(shapes) inputs that enter nothing else."""
    views = {
        slot: (leaf, np.arange(np.prod(shape, dtype=int)).reshape(shape))
        for leaf, (slot, shape) in enumerate(zip(program.inputs, shapes, strict=False))
        if 0 not in shape  # a leaf without entries enters no product
    }
    uses: dict[int, list[Product]] = {leaf: [] for leaf in range(len(shapes))}
    other = {views[program.output][0]} if program.output in views else set()
    for number, (eqn, inputs, outputs) in enumerate(program.equations):
        name = eqn.primitive.name
        for side, slot in enumerate(inputs):
            if slot not in views:
                continue
            leaf, entries = views[slot]
            if name in _VIEWS and _is_real(eqn):
                views[outputs[0]] = leaf, _VIEWS[name](entries, eqn.params)
            elif name in _PRODUCTS and (product := _PRODUCTS[name](number, side, eqn, entries)):
                uses[leaf].append(product)
            else:
                other.add(leaf)
    return {
        leaf: of_leaf
        for leaf, of_leaf in uses.items()
        if leaf not in other and len({use.shape for use in of_leaf}) == 1
    }


def _is_real(eqn) -> bool:
    """Whether the first output holds floating-point numbers: no integers, no complex ones."""
    return jnp.issubdtype(eqn.outvars[0].aval.dtype, jnp.floating)


def _dot(number, side, eqn, entries) -> Product | None:
    """This dot as a product with the leaf, seen as a matrix of its leading by its trailing axes; else None."""
    contracted, batch = eqn.params["dimension_numbers"]
    if batch[0]:
        return None
    contracted = contracted[side]
    free = [axis for axis in range(entries.ndim) if axis not in contracted]
    rows = math.prod(entries.shape[axis] for axis in contracted)
    matrix = entries.transpose((*contracted, *free)).reshape(rows, -1)
    return _in_order(number, side, eqn, matrix) or _in_order(number, side, eqn, matrix, True)


def _conv(number, side, eqn, entries) -> Product | None:
    """This convolution as a product with the leaf, its kernel; else None."""
    if side == 0 or not _matrices.is_matrix(eqn, entries.shape):
        return None
    return _in_order(number, side, eqn, entries.reshape(-1, entries.shape[-1]))


def _lookup(number, side, eqn, entries) -> Product | None:
    """This gather as a product of one-hot rows with the leaf, its table; else None."""
    if side == 1 or not _matrices.is_lookup(eqn):
        return None
    return _in_order(number, side, eqn, entries.reshape(len(entries), -1))


def _in_order(number, side, eqn, matrix, transposed=False) -> Product | None:
    """y = x `matrix` as a product with the leaf, if the matrix or its transpose is the leaf, in order; else None."""
    leaf = matrix.T if transposed else matrix
    if not np.array_equal(leaf.reshape(-1), np.arange(leaf.size)):
        return None
    tokens = eqn.outvars[0].aval.size // max(matrix.shape[1], 1)
    if not tokens or not _is_real(eqn):
        return None  # an x without rows; a complex y, whose imaginary part counts
    return Product(number, side, tokens, transposed, leaf.shape)


_PRODUCTS = {"dot_general": _dot, "conv_general_dilated": _conv, "gather": _lookup}


def operand(program: Program, product: Product) -> int:
    """The slot of x."""
    return program.equations[product.equation].inputs[1 - product.side]


def outer_factors(program: Program, product: Product, x, dy):
    """A [T, p] and D [T, q] with dL/dW = A^T D, from x and the gradient with respect to y."""
    eqn = program.equations[product.equation].eqn
    if eqn.primitive.name == "conv_general_dilated":
        factors = _matrices.patches(eqn, x), _matrices.outputs(eqn, dy)
    elif eqn.primitive.name == "gather":
        factors = _matrices.one_hot(eqn, x), dy.reshape(product.tokens, -1)
    else:
        factors = _dot_factors(eqn, product, x, dy)
    return tuple(factor.astype(jnp.float32) for factor in factors)


def _dot_factors(eqn, product: Product, x, dy):
    contracted = eqn.params["dimension_numbers"][0][1 - product.side]
    free = [axis for axis in range(x.ndim) if axis not in contracted]
    x = x.transpose((*free, *contracted)).reshape(product.tokens, -1)
    # The axes of y are the free ones of the left operand, then those of the right one.
    if product.side == 0:
        dy = dy.reshape(-1, product.tokens).T
    dy = dy.reshape(product.tokens, -1)
    return (dy, x) if product.transposed else (x, dy)
