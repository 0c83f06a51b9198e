"""Has Numba write shorter LLVM code for what kernels do most: arithmetic of integers and elements of arrays.

Numba's own code for these is several times as long, and most of the time to compile a kernel goes into
writing it, parsing it, and optimising it away. What is written here comes out the same, with two exceptions:

- **An index is never negative**, unless it is a constant, and the only one. Numba adds the length to a
  negative one, as Python does.
- **A variable isn't cleared** when it is no longer needed, since there are no references to count.
"""

from __future__ import annotations

import operator
from typing import Any

from numba import types
from numba.core import cgutils
from numba.core.lowering import Lower
from numba.np.arrayobj import load_item, store_item

__all__ = ["DATA", "SHAPE", "STRIDES", "KernelLower"]

#: Fields of Numba's descriptor of an array.
DATA, SHAPE, STRIDES = 4, 5, 6

#: What LLVM calls operations of integers, with the sign of a result that does not overflow.
_ARITHMETIC = {
    operator.add: "add", operator.iadd: "add", operator.sub: "sub", operator.isub: "sub",
    operator.mul: "mul", operator.imul: "mul",
}  # fmt: skip
_COMPARISONS = {
    operator.eq: "==", operator.ne: "!=", operator.lt: "<", operator.le: "<=", operator.gt: ">",
    operator.ge: ">=",
}  # fmt: skip
_CHOICES = {min: "<=", max: ">="}


def _is_integer(kind: Any) -> bool:
    return bool(types.unliteral(kind) == types.int64)


class KernelLower(Lower):
    """Lowers a function from Numba's representation to LLVM's."""

    def storevar(self, value: Any, name: str, argidx: Any = None) -> None:
        """Store a value, whatever the variable held before."""
        self._alloca_var(name, self.typeof(name))
        if name in self._singly_assigned_vars and not self._disable_sroa_like_opt:
            self._blk_local_varmap[name] = value
        else:
            self.builder.store(value, self.getvar(name))

    def lower_binop(self, resty: Any, expr: Any, op: Any) -> Any:
        """Return the value of an operator."""
        kinds = [self.typeof(expr.lhs.name), self.typeof(expr.rhs.name)]
        if not all(map(_is_integer, kinds)) or not (op in _ARITHMETIC or op in _COMPARISONS):
            return super().lower_binop(resty, expr, op)
        left, right = self.loadvar(expr.lhs.name), self.loadvar(expr.rhs.name)
        if op in _COMPARISONS:
            return self.builder.icmp_signed(_COMPARISONS[op], left, right)
        result = getattr(self.builder, _ARITHMETIC[op])(left, right, flags=["nsw"])
        return self.context.cast(self.builder, result, types.int64, resty)

    def lower_call(self, resty: Any, expr: Any) -> Any:
        """Return the value of a call."""
        function = self.typeof(expr.func.name)
        choice = isinstance(function, types.Function) and _CHOICES.get(function.typing_key)
        if choice and len(expr.args) == 2 and all(_is_integer(self.typeof(each.name)) for each in expr.args):
            first, second = (self.loadvar(each.name) for each in expr.args)
            chosen = self.builder.icmp_signed(choice, first, second)
            return self.builder.select(chosen, first, second)
        return super().lower_call(resty, expr)

    def lower_getitem(self, resty: Any, expr: Any, value: Any, index: Any, signature: Any) -> Any:
        """Return an element of an array or a tuple."""
        place = self._element(value, index)
        if place is None:
            return super().lower_getitem(resty, expr, value, index, signature)
        return load_item(self.context, self.builder, self.typeof(value.name), place)

    def lower_setitem(self, target_var: Any, index_var: Any, value_var: Any, signature: Any) -> Any:
        """Set an element of an array."""
        place = self._element(target_var, index_var)
        if place is None:
            return super().lower_setitem(target_var, index_var, value_var, signature)
        kind = self.typeof(target_var.name)
        value = self.loadvar(value_var.name)
        value = self.context.cast(self.builder, value, self.typeof(value_var.name), kind.dtype)
        return store_item(self.context, self.builder, kind, value, place)

    def _element(self, array: Any, index: Any) -> Any:
        """Return the address of one element, or None for anything but one integer for each dimension."""
        kind, at = self.typeof(array.name), self.typeof(index.name)
        if not isinstance(kind, types.Array):
            return None
        if isinstance(at, types.IntegerLiteral) and at.literal_value < 0:
            return None
        many = isinstance(at, types.BaseTuple)
        if not all(map(_is_integer, at.types if many else (at,))) or (len(at) if many else 1) != kind.ndim:
            return None
        builder, value = self.builder, self.loadvar(index.name)
        indices = cgutils.unpack_tuple(builder, value) if many else [value]
        return _address(builder, kind, self.loadvar(array.name), indices)


def _address(builder: Any, kind: Any, array: Any, indices: list[Any]) -> Any:
    """Return the address of an element."""
    data = builder.extract_value(array, DATA)
    if kind.layout == "C":
        at = indices[0]
        for axis, index in enumerate(indices[1:], 1):
            at = builder.add(builder.mul(at, builder.extract_value(array, [SHAPE, axis])), index)
        return builder.gep(data, [at])
    at = None
    for axis, index in enumerate(indices):
        step = builder.mul(index, builder.extract_value(array, [STRIDES, axis]))
        at = step if at is None else builder.add(at, step)
    return cgutils.pointer_add(builder, data, at)
