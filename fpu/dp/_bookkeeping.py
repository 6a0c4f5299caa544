"""The clipped sum of a batch without per-example gradients of the large matrices: clipping by book-keeping.

The gradient of one example with respect to a weight matrix that is used in products y = x W is A^T D,
where A [T, p] stacks the x of all T tokens and all uses, and D [T, q] the gradients dL/dy. So

    |A^T D|^2 = sum((A A^T) * (D D^T))                        the ghost norm, arXiv:2110.05679
    sum_i s_i A_i^T D_i = [A_1; ...; A_B]^T [s_1 D_1; ...; s_B D_B]     book-keeping, arXiv:2210.00038

and a [p, q] matrix per example is never formed, nor is there a second backward pass: one forward
pass, one backward pass for the activations only, then one product that is as large as the one of
non-private training. `_products` finds those products in the jaxpr of the loss.

Where the T^2 (p + q) work of a ghost norm is more than writing and reading the [p, q] gradient (many
tokens, few entries: convolutions on large images), that gradient is instantiated from A and D instead.

What no rule fits (biases, scales, grouped convolutions, weights inside scan or custom derivatives) falls
back, leaf by leaf, to per-example gradients under vmap from the same backward pass. `rules` says which
leaf goes which way, and a fallback of more than _LARGE entries is logged.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from absl import logging

from fpu.dp import _products

_HIGHEST = jax.lax.Precision.HIGHEST


def batch_sum(loss: Callable, params: Any, example: Any, key: Any, clip: Any) -> Callable:
    """(examples, valid, keys) -> (clipped sum [like params], (sum of losses, how many clipped, used, dropped)).

    Args: those of clipping.clipped_sum; `example` and `key` are the shapes of ONE example's.

    **Guarantees.** Those of clipping.clipped_sum. The norm of a leaf with several uses is that of their sum.
    Ghost norms are rounded up by what f32 may lose: (p + q) 6e-8 of them for one token, more where tokens cancel;
    where they cancel by more than _CANCEL, an example is clipped to less than C (_ghost_square). What is added is
    what was measured, to the bit (`_once`). An example one of whose A or D overflows when squared is dropped too.
    """
    leaves, tree = jax.tree.flatten(params)
    program, products = _analyse(loss, params, example, key)
    convolves = any(e.eqn.primitive.name == "conv_general_dilated" for e in program.equations)

    def summed(examples, valid, keys):
        gradients = functools.partial(_gradients, program, products, leaves, examples)
        losses, whole, factors = _once(gradients, keys, inside=not convolves)
        # n_i = |g_i| over all leaves together; s_i = min(1, C / n_i), 0 for what is not used.
        squares = [jnp.sum(jnp.square(g), 1) for g in whole.values()]
        squares += [_ghost_square(a, d) for a, d in factors.values()]
        # One after the other, small squares may be lost beside a large one: up to len(squares) roundings.
        norms = jnp.sqrt((1 + len(squares) * 2.0**-24) * sum(squares))
        used, finite = valid & jnp.isfinite(norms), jnp.all(jnp.isfinite(norms))
        scale = jnp.where(used, jnp.minimum(1.0, clip / norms), 0.0)

        def kept(x):
            return jnp.where(_expand(used, x), x, 0.0)  # before the product: 0 * NaN is NaN

        # sum_i s_i g_i of the leaves that are whole; sum_i A_i^T (s_i D_i) of the others.
        total = {leaf: _outer(scale[:, None, None], kept(g)[:, None]) for leaf, g in whole.items()}
        for leaf, (a, d) in factors.items():
            scaled = kept(d) * _expand(scale, d)
            # Finite norms prove that A is finite, of dropped examples too, and save a copy of it.
            a = jax.lax.cond(finite, lambda a: a, kept, a)
            total[leaf] = _outer(a, scaled)
        statistics = (
            jnp.sum(jnp.where(used, losses, 0.0)),
            jnp.sum(used & (norms > clip)),
            jnp.sum(used),
            jnp.sum(valid & ~used),
        )
        parts = [total[i].reshape(leaf.shape) for i, leaf in enumerate(leaves)]
        return jax.tree.unflatten(tree, parts), statistics

    return summed


def _outer(a, d):
    """sum_i A_i^T D_i of [B, T, p] and [B, T, q], B a multiple of _PARTS.

    A CPU adds up about 1,000 terms of a large matrix in one run, of a small one all, and a long run loses more to
    rounding: those are added in so many parts.
    """
    parts = _PARTS if _is_small(a.shape[2], d.shape[2]) else 1
    a, d = (x.reshape(parts, len(x) // parts, *x.shape[1:]) for x in (a, d))
    return jnp.sum(jnp.einsum("kbtp,kbtq->kpq", a, d, precision=_HIGHEST), 0)


_PARTS = 8


def _is_small(p, q):
    return min(p, q) <= 4 or p * q <= 1024


def _once(function, keys, inside):
    """function(keys), whose values XLA computes once.

    XLA may compute a cheap expression anew for each of its users, and round it otherwise: a multiplication and an
    addition may become one operation. Where a difference of large numbers is small, what is added would then not be
    what was measured, and a member could add a hundred clip norms. What a loop returns is read from memory by all. This
    one makes one pass, which the compiler cannot know: it makes none, and all is 0, if each word of the keys is _NEVER.
    (An optimization barrier does not last until expressions are fused.)

    inside: whether they are computed in the loop, or copied there: a convolution in a loop has one core of a CPU.
    """
    implementation, words = jax.random.key_impl(keys), jax.random.key_data(keys)

    def values():
        return function(jax.random.wrap_key_data(words, impl=implementation))

    made = jax.eval_shape(values) if inside else values()
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), made)
    start = _not_never(words), zeros
    return jax.lax.while_loop(
        lambda carry: carry[0], lambda _: (False, values() if inside else made), start
    )[1]


_NEVER = 0x7F4A7C15  # any number


@jax.custom_batching.custom_vmap
def _not_never(words):
    return jnp.any(words != _NEVER)


@_not_never.def_vmap
def _not_never_of_all(axis_size, in_batched, words):
    """One answer for all cells: a loop that ends at another time for each would copy all they carry."""
    return _not_never(words), False


def _expand(per_example, leaf):
    """[B] to [B, 1, ...] with the rank of leaf."""
    return per_example.reshape((-1,) + (1,) * (leaf.ndim - 1))


def rules(loss: Callable, params: Any, example: Any, key: Any) -> dict[str, str]:
    """How each leaf is treated: {path: 'ghost' | 'instantiate' | 'vmap'}.

    Args as those of `loss`; `example` and `key` are of ONE example, arrays or their shapes.
    """
    _, products = _analyse(loss, params, example, key)

    def rule(leaf):
        if leaf not in products:
            return "vmap"
        return "ghost" if _ghost_is_cheaper(products[leaf]) else "instantiate"

    paths = jax.tree_util.tree_leaves_with_path(params)
    return {jax.tree_util.keystr(path): rule(leaf) for leaf, (path, _) in enumerate(paths)}


def _analyse(loss, params, example, key):
    """The loss of one example as a program, and {leaf: its products}."""
    leaves, tree = jax.tree.flatten(params)

    def one_loss(leaves, example, key):
        return loss(jax.tree.unflatten(tree, leaves), example, key)

    program = _products.program(one_loss, leaves, example, key)
    products = _products.products(program, [leaf.shape for leaf in leaves])
    for number, (path, leaf) in enumerate(jax.tree_util.tree_leaves_with_path(params)):
        if number not in products and leaf.size > _LARGE:
            logging.log_first_n(
                logging.WARNING,
                "DP-SGD: no product rule fits %s %s: its gradients are made one by one, which is slow",
                100,
                jax.tree_util.keystr(path),
                leaf.shape,
            )
    return program, products


_LARGE = 10_000


def _gradients(program, products, leaves, examples, keys):
    """One forward and one backward pass over a batch.

    Every product y = x W is made y = x W + tap, with a tap of zeros that is an input: dL/dtap = dL/dy = D. So the
    derivatives with respect to the taps and to the leaves without products are all that is needed, and dL/dW =
    A^T D = sum over uses u and tokens t of outer(x_ut, dL/dy_ut).

    Returns:
      losses [B]; {leaf: flat gradients [B, size]} of the leaves without products and those whose gradient is cheaper
      than a ghost norm; {leaf: (A [B, T, p], D [B, T, q])} of the others, all uses of a leaf stacked along T. All f32.
    """
    uses = [product for of_leaf in products.values() for product in of_leaf]
    taps = {
        product.equation: jnp.zeros_like(program.equations[product.equation].eqn.outvars[0].aval)
        for product in uses
    }
    whole = {leaf: value for leaf, value in enumerate(leaves) if leaf not in products}

    def one_loss(inputs, example, key):
        whole, taps = inputs
        given = [whole.get(leaf, value) for leaf, value in enumerate(leaves)]
        values = _products.evaluate(program, jax.tree.leaves((given, example, key)), taps)
        operands = {_products.operand(program, product) for product in uses}  # slots of the x
        return values[program.output], {slot: values[slot] for slot in operands}

    def one(example, key):
        one_gradient = jax.value_and_grad(one_loss, has_aux=True)
        (loss, operands), (d_whole, d_taps) = one_gradient((whole, taps), example, key)
        factors = {}
        for leaf, of_leaf in products.items():
            parts = [
                _products.outer_factors(
                    program, p, operands[_products.operand(program, p)], d_taps[p.equation]
                )
                for p in of_leaf
            ]
            # A = [A_1; A_2; ...] and D likewise: A^T D is the sum over uses, and its norm that of the sum.
            factors[leaf] = tuple(jnp.concatenate(part) for part in zip(*parts, strict=True))
        return loss, jax.tree.map(lambda g: g.astype(jnp.float32), d_whole), factors

    losses, whole, factors = jax.vmap(one)(examples, keys)
    for leaf in list(factors):
        if not _ghost_is_cheaper(products[leaf]):
            whole[leaf] = jnp.einsum("btp,btq->bpq", *factors.pop(leaf), precision=_HIGHEST)
    # Flat, so that squares are added up by a tree: a CPU adds up to 31 x 31 of a matrix one after the other, and loses
    # small ones beside a large one.
    flat = {leaf: g.reshape(len(g), math.prod(g.shape[1:])) for leaf, g in whole.items()}
    return losses, flat, factors


def _ghost_is_cheaper(products) -> bool:
    """Whether T^2 (p + q) operations are fewer than what the [p, q] gradient costs beyond T p q.

    Never where several tokens would make the long sum of a small matrix longer still (`_outer`).
    """
    tokens = sum(product.tokens for product in products)
    p, q = products[0].shape
    if tokens > 1 and _is_small(p, q):
        return False
    return tokens * tokens * (p + q) <= _COST * p * q


_COST = 32  # of writing, squaring and summing an entry, in multiply-adds; measured on a CPU


def _ghost_square(a, d):
    """|A^T D|^2 [B] of A [B, T, p] and D [B, T, q], rounded up.

    An entry of a Gram matrix is wrong by up to p (or q) f32 roundings of |a_t| |a_s|, their products' sum by T^2
    more, so the square by (p + q + T^2) 2^-24 (sum_t |a_t| |d_t|)^2 to first order. Where tokens cancel that
    is more than the square itself: hence a margin of twice as much. _TINY in it is more than what is lost
    of an |a_t|^2 whose terms underflow, however large its d_t.

    And at least (sum_t |a_t| |d_t| / _CANCEL)^2: the batch's sum adds outer products, so its rounding is theirs. Where
    they cancel by more, an example counts as longer than it is.
    """
    squares = (jnp.sum(jnp.square(a), 2) + _TINY) * (jnp.sum(jnp.square(d), 2) + _TINY)
    bound = jnp.square(jnp.sum(jnp.sqrt(squares), 1))
    margin = (a.shape[2] + d.shape[2] + a.shape[1] ** 2) * 2.0**-23
    if a.shape[1] == 1:
        return (1 + margin) * bound  # one outer product
    gram_a = jnp.einsum("btp,bsp->bts", a, a, precision=_HIGHEST)
    gram_d = jnp.einsum("btq,bsq->bts", d, d, precision=_HIGHEST)
    square = jnp.maximum(jnp.sum(gram_a * gram_d, (1, 2)), 0.0) + margin * bound
    return jnp.maximum(square, bound / _CANCEL**2)


_CANCEL = 8

# The margin of it, at least (p + q) 1e-35, exceeds p squares that underflow (below 1e-37 each); it is nothing
# beside any |a|^2 of use.
_TINY = 1e-28
