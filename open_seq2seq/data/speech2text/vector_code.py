"""Machine code for loops over short vectors, generated with llvmlite: a few lines of arithmetic in Python become one function.

NumPy makes a pass through memory for every operation, and Numba's compiler does not use vector instructions where arrays may
overlap. The code generated here says itself what is a vector:

    code = VectorCode("scale", "in: float*, out: float*, count: i64", lanes=16)
    with code.loop(code.argument("count")) as i:
        code.store(code.load(code.argument("in"), i) * 2.0, code.argument("out"), i)
    scale = code.compile()

A call of the function releases the interpreter lock. LLVM adapts vectors to the processor, so the code also runs where its
registers are shorter than ``lanes``.
"""
import contextlib
import ctypes

import llvmlite
import llvmlite.binding as llvm
from llvmlite import ir

FLOAT, INT32, INT64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
_POINTER = {"float*": FLOAT.as_pointer(), "i16*": ir.IntType(16).as_pointer(), "i64*": INT64.as_pointer()}
_SCALAR = {"float": (FLOAT, ctypes.c_float), "i64": (INT64, ctypes.c_int64)}
# sums may be reordered and fused; NaN and infinity keep their meaning
_FLAGS = ("reassoc", "contract", "nsz", "arcp")


class VectorCode:
    """One function under construction.

    Args:
      name: str.
      arguments: "name: type, ..." with the types float*, i16*, i64*, float and i64.
      lanes: elements of a vector.
    """

    def __init__(self, name, arguments, lanes):
        self.lanes, self._name = lanes, name
        pairs = [argument.strip().split(": ") for argument in arguments.split(",")]
        types = [_POINTER[kind] if kind in _POINTER else _SCALAR[kind][0] for _, kind in pairs]
        self._ctypes = [ctypes.c_void_p if kind in _POINTER else _SCALAR[kind][1] for _, kind in pairs]
        self._module = ir.Module(name)
        self._function = ir.Function(self._module, ir.FunctionType(ir.VoidType(), types), name)
        self._arguments = {argument: value for (argument, _), value in zip(pairs, self._function.args)}
        self.builder = ir.IRBuilder(self._function.append_basic_block("entry"))
        self.vector = ir.VectorType(FLOAT, lanes)

    def argument(self, name):
        """A pointer argument, or the :class:`Value` of a scalar one."""
        value = self._arguments[name]
        return value if isinstance(value.type, ir.PointerType) else Value(self, value)

    def integer(self, value):
        """The :class:`Value` of an int."""
        return Value(self, ir.Constant(INT64, int(value)))

    def splat(self, value):
        """A vector whose elements are all ``value``: a Python number or a scalar float Value."""
        if not isinstance(value, Value):
            return Value(self, ir.Constant(self.vector, [float(value)] * self.lanes))
        one = self.builder.insert_element(ir.Constant(self.vector, ir.Undefined), value.value, ir.Constant(INT32, 0))
        zeros = ir.Constant(ir.VectorType(INT32, self.lanes), [0] * self.lanes)
        return Value(self, self.builder.shuffle_vector(one, ir.Constant(self.vector, ir.Undefined), zeros))

    @contextlib.contextmanager
    def loop(self, count, step=1):
        """The body is repeated for 0, step, 2 * step... below ``count``; yields the index."""
        count = count if isinstance(count, Value) else self.integer(count)
        before = self.builder.block
        head, body, after = (self.builder.append_basic_block(name) for name in ("head", "body", "after"))
        self.builder.branch(head)
        self.builder.position_at_end(head)
        index = self.builder.phi(INT64)
        index.add_incoming(ir.Constant(INT64, 0), before)
        self.builder.cbranch(self.builder.icmp_signed("<", index, count.value), body, after)
        self.builder.position_at_end(body)
        yield Value(self, index)
        index.add_incoming(self.builder.add(index, ir.Constant(INT64, step)), self.builder.block)
        self.builder.branch(head)
        self.builder.position_at_end(after)

    def element(self, array, index):
        """The pointer to an element."""
        return self.builder.gep(array, [index.value if isinstance(index, Value) else ir.Constant(INT64, index)])

    def load(self, array, index):
        """The vector that begins at an element of a float array."""
        return Value(self, self.builder.load(self._vector_at(array, index), align=4))

    def store(self, vector, array, index):
        """Writes a vector that begins at an element of a float array."""
        self.builder.store(vector.value, self._vector_at(array, index), align=4)

    def load_scalar(self, array, index):
        """One element: a float, or an int of 64 bits."""
        return Value(self, self.builder.load(self.element(array, index)))

    def store_scalar(self, scalar, array, index):
        """Writes one element."""
        self.builder.store(scalar.value, self.element(array, index))

    def minimum(self, left, right):
        """The smaller one of two ints."""
        return Value(self, self.builder.select(self.builder.icmp_signed("<", left.value, right.value), left.value, right.value))

    def logarithm(self, vector):
        """Natural logarithms of positive normal numbers; relative error 1e-7 (Cephes' polynomial for logf)."""
        build, integers = self.builder, ir.VectorType(INT32, self.lanes)

        def constant(value):
            return ir.Constant(integers, [value] * self.lanes)

        bits = build.bitcast(vector.value, integers)
        # exponent and mantissa, the latter from sqrt(1/2) to sqrt(2)
        exponent = build.ashr(build.sub(bits, constant(0x3F3504F3)), constant(23))
        mantissa = build.bitcast(build.sub(bits, build.shl(exponent, constant(23))), self.vector)
        x, e = Value(self, mantissa) - 1.0, Value(self, build.sitofp(exponent, self.vector))
        square, polynomial = x * x, self.splat(7.0376836292e-2)
        for coefficient in (-1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
                            2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1):
            polynomial = polynomial * x + coefficient
        # log(2) in two parts, the first of which times an exponent is exact
        low = polynomial * x * square + e * -2.12194440e-4 - square * 0.5
        return x + low + e * 0.693359375

    def _vector_at(self, array, index):
        return self.builder.bitcast(self.element(array, index), self.vector.as_pointer())

    def compile(self):
        """The function: takes addresses (int) for arrays and numbers for scalars, and returns nothing."""
        self.builder.ret_void()
        engine = _engine_of(str(self._module))
        call = ctypes.CFUNCTYPE(None, *self._ctypes)(engine.get_function_address(self._name))
        call.engine = engine  # the code lives as long as the engine
        return call


class Value:
    """A scalar or vector in the generated code. Arithmetic of ints, of floats and of vectors of floats with Python numbers."""

    def __init__(self, code, value):
        self.code, self.value = code, value

    def _with(self, other, of_integers, of_floats):
        build, kind = self.code.builder, self.value.type
        if not isinstance(other, Value):
            constant = [other] * self.code.lanes if isinstance(kind, ir.VectorType) else other
            other = Value(self.code, ir.Constant(kind, constant))
        if kind == INT64:
            return Value(self.code, getattr(build, of_integers)(self.value, other.value))
        return Value(self.code, getattr(build, of_floats)(self.value, other.value, flags=_FLAGS))

    def __add__(self, other):
        return self._with(other, "add", "fadd")

    def __sub__(self, other):
        return self._with(other, "sub", "fsub")

    def __mul__(self, other):
        return self._with(other, "mul", "fmul")

    def __getitem__(self, lane):
        """An element of a vector."""
        return Value(self.code, self.code.builder.extract_element(self.value, ir.Constant(INT32, lane)))


def vector_lanes():
    """Floats in a vector register of this processor, at least 4."""
    features = _processor_features()
    return 16 if features.get("avx512f") else 8 if features.get("avx2") else 4


def _processor_features():
    """FeatureMap of this processor, or {} where LLVM cannot find them: the code is then for every processor of its kind."""
    try:
        return llvm.get_host_cpu_features()
    except RuntimeError:
        return {}


def _engine_of(text):
    if tuple(int(part) for part in llvmlite.__version__.split(".")[:2]) < (0, 45):
        llvm.initialize()  # later versions do it themselves, and raise an error here
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    module = llvm.parse_assembly(text)
    module.verify()
    # a processor that is newer than LLVM has no name, but its features are known
    features = _processor_features()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features.flatten() if features else "", opt=3, jit=True)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    return engine
