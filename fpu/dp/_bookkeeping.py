"""clipping.clipped_sum without per-example gradients of the large matrices: clipping by book-keeping.

The gradient of one example with respect to a weight matrix that is used in products y = x W is A^T D,
where A [T, p] stacks the x of all T tokens and all uses, and D [T, q] the gradients dL/dy. So

    |A^T D|^2 = sum((A A^T) * (D D^T))                        the ghost norm, arXiv:2110.05679
    sum_i s_i A_i^T D_i = [A_1; ...; A_B]^T [s_1 D_1; ...; s_B D_B]     book-keeping, arXiv:2210.00038

and a [p, q] matrix per example is never formed, nor is there a second backward pass: one forward
pass, one backward pass for the activations only, then one product that is as large as the one of
non-private training. `uses` finds those products in the jaxpr of the loss.

Where the T^2 (p + q) work of a ghost norm is more than writing and reading the [p, q] gradient (many
tokens, few entries: convolutions on large images), that gradient is instantiated from A and D instead.

What no rule fits (biases, scales, grouped convolutions, weights inside scan or custom derivatives) falls
back, leaf by leaf, to per-example gradients under vmap from the same backward pass. `rules` says which
leaf goes which way, and a fallback of more than _LARGE entries is logged.
"""

import jax
import jax.numpy as jnp
from absl import logging

from fpu.dp import _products
from fpu.dp.clipping import Diagnostics, accumulate, expand

_HIGHEST = jax.lax.Precision.HIGHEST


def clipped_sum(loss, params, examples, valid, keys, clip, microbatch: int | None = None):
    """clipping.clipped_sum: same arguments, results and guarantees, up to f32 rounding.

    **Guarantees.** Those of clipping.clipped_sum. The norm of a leaf with several uses is that of their sum.
    Ghost norms are rounded up by what f32 may lose: (p + q) 6e-8 of them for one token, more where tokens
    cancel. An example one of whose A or D overflows when squared is dropped too.
    """
    leaves, tree = jax.tree.flatten(params)
    one = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), (examples, keys))
    program, products = _analyse(loss, params, *one)

    def batch_sum(examples, valid, keys):
        losses, whole, factors = _gradients(program, products, leaves, examples, keys)
        for leaf in list(factors):
            if not _ghost_is_cheaper(products[leaf]):
                whole[leaf] = jnp.einsum("btp,btq->bpq", *factors.pop(leaf), precision=_HIGHEST)
        squares = [jnp.sum(jnp.square(g).reshape(len(valid), -1), 1) for g in whole.values()]
        squares += [_ghost_square(a, d) for a, d in factors.values()]
        norms = jnp.sqrt(sum(squares))
        used, finite = valid & jnp.isfinite(norms), jnp.all(jnp.isfinite(norms))
        scale = jnp.where(used, jnp.minimum(1.0, clip / norms), 0.0)

        def kept(x):
            return jnp.where(expand(used, x), x, 0.0)  # before the product: 0 * NaN is NaN

        total = {
            leaf: jnp.einsum("b,b...->...", scale, kept(g), precision=_HIGHEST)
            for leaf, g in whole.items()
        }
        for leaf, (a, d) in factors.items():
            scaled = kept(d) * expand(scale, d)
            # Finite norms prove that A is finite, of dropped examples too, and save a copy of it.
            a = jax.lax.cond(finite, lambda a: a, kept, a)
            total[leaf] = jnp.einsum("btp,btq->pq", a, scaled, precision=_HIGHEST)
        statistics = (
            jnp.sum(jnp.where(used, losses, 0.0)),
            jnp.sum(used & (norms > clip)),
            jnp.sum(used),
            jnp.sum(valid & ~used),
        )
        return [total[i].reshape(leaf.shape) for i, leaf in enumerate(leaves)], statistics

    total, (losses, clipped, used, dropped) = accumulate(
        batch_sum, (examples, valid, keys), len(valid), microbatch
    )
    count = jnp.maximum(used, 1)
    total = jax.tree.unflatten(tree, total)
    return total, Diagnostics(losses / count, clipped / count, dropped)


def rules(loss, params, example, key) -> dict[str, str]:
    """How `clipped_sum` treats each leaf: {path: 'ghost' | 'instantiate' | 'vmap'}.

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
        return loss(jax.tree.unflatten(tree, leaves), example, key)[0]

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

    Returns:
      losses [B]; {leaf: gradients [B, ...]} of the leaves without products;
      {leaf: (A [B, T, p], D [B, T, q])} of those with, all uses of a leaf stacked along T. All f32.
    """
    taps = {
        product.equation: jnp.zeros_like(program.equations[product.equation].eqn.outvars[0].aval)
        for uses_ in products.values()
        for product in uses_
    }
    whole = {leaf: value for leaf, value in enumerate(leaves) if leaf not in products}

    def one_loss(inputs, example, key):
        whole, taps = inputs
        given = [whole.get(leaf, value) for leaf, value in enumerate(leaves)]
        values = _products.evaluate(program, jax.tree.leaves((given, example, key)), taps)
        slots = {_products.operand(program, p) for uses_ in products.values() for p in uses_}
        return values[program.output], {slot: values[slot] for slot in slots}

    def one(example, key):
        one_gradient = jax.value_and_grad(one_loss, has_aux=True)
        (loss, operands), (whole_, taps_) = one_gradient((whole, taps), example, key)
        factors = {}
        for leaf, uses_ in products.items():
            parts = [
                _products.outer_factors(
                    program, p, operands[_products.operand(program, p)], taps_[p.equation]
                )
                for p in uses_
            ]
            factors[leaf] = tuple(jnp.concatenate(part) for part in zip(*parts, strict=True))
        return loss, jax.tree.map(lambda g: g.astype(jnp.float32), whole_), factors

    return jax.vmap(one)(examples, keys)


def _ghost_is_cheaper(products) -> bool:
    """Whether T^2 (p + q) operations are fewer than what the [p, q] gradient costs beyond T p q."""
    tokens = sum(product.tokens for product in products)
    p, q = products[0].shape
    return tokens * tokens * (p + q) <= _COST * p * q


_COST = 32  # of writing, squaring and summing an entry, in multiply-adds; measured on a CPU


def _ghost_square(a, d):
    """|A^T D|^2 [B] of A [B, T, p] and D [B, T, q], rounded up.

    An entry of a Gram matrix is wrong by up to p (or q) f32 roundings of |a_t| |a_s|, their products' sum by T^2
    more, so the square by (p + q + T^2) 2^-24 (sum_t |a_t| |d_t|)^2 to first order. Where tokens cancel that
    is more than the square itself: hence a margin of twice as much. _TINY in it is more than what is lost
    of an |a_t|^2 whose terms underflow, however large its d_t.
    """
    squares = (jnp.sum(jnp.square(a), 2) + _TINY) * (jnp.sum(jnp.square(d), 2) + _TINY)
    bound = jnp.square(jnp.sum(jnp.sqrt(squares), 1))
    margin = (a.shape[2] + d.shape[2] + a.shape[1] ** 2) * 2.0**-23
    if a.shape[1] == 1:
        return (1 + margin) * bound  # one outer product
    gram_a = jnp.einsum("btp,bsp->bts", a, a, precision=_HIGHEST)
    gram_d = jnp.einsum("btq,bsq->bts", d, d, precision=_HIGHEST)
    return jnp.maximum(jnp.sum(gram_a * gram_d, (1, 2)), 0.0) + margin * bound


# The margin of it, at least (p + q) 1e-35, exceeds p squares that underflow (below 1e-37 each); it is nothing
# beside any |a|^2 of use.
_TINY = 1e-28
