"""Checks of a partitioned run, each with the adapter's error."""
import tensorflow.compat.v1 as tf

from fake_ascend import collectives, standins
from fake_ascend.operator_list import STATUS_OPERATORS
from fake_ascend.standins import HOST_KERNELS, HOST_MARK

# output shapes depend on a checkpoint's file; the variables that are assigned have static shapes
SHAPED_BY_FILE = ("RestoreV2", "Restore", "RestoreSlice")
# scratch memory of a kernel, whose shape TensorFlow never infers: (operator type, number of the output)
PRIVATE = (("FusedBatchNormV3", 5),)
WITHOUT_SHAPE = (tf.string, tf.resource, tf.variant)
VARIABLES = ("VariableV2", "Variable", "VarHandleOp")
ASSIGNMENTS = ("Assign", "AssignVariableOp")


def check_kernels(partition):
    """The adapter's own operators have no kernel on the host; the collectives need HCCL."""
    for operation in partition.operations:
        operator_type = standins.type_of(operation)
        if not standins.is_standin(operation) or operator_type in HOST_KERNELS:
            continue
        if operation.name not in partition.offloaded:
            reference = _taken_by_reference(partition) if operator_type in STATUS_OPERATORS else None
            if reference is not None and not standins.attribute(operation, HOST_MARK):
                _refuse_reference(*reference)
            raise tf.errors.InvalidArgumentError(
                operation.node_def, operation, "No OpKernel was registered to support Op '%s' used by {{node %s}} (on the host: "
                "%s)" % (operator_type, operation.name, partition.host[operation.name]))
        if operator_type.startswith("Hcom"):
            collectives.check_ready(operator_type)


def _references(partition):
    """(tensor, operation) for every operation that takes a device tensor by reference in order to change it."""
    for operation in partition.operations:
        if not any(argument.is_ref for argument in operation.op_def.input_arg):
            continue  # the runtime passes the value
        for tensor in operation.inputs:
            if tensor.dtype._is_ref_dtype and tensor.op.name in partition.offloaded:
                yield tensor, operation


def _taken_by_reference(partition):
    """A device variable and the operation that reads it through a Switch; a status operator on the host moves both there."""
    return next(((tensor, operation) for tensor, operation in _references(partition) if "Switch" in operation.type), None)


def _refuse_reference(tensor, operation, side="results"):
    raise tf.errors.InvalidArgumentError(
        operation.node_def, operation, "Ref Tensors (e.g., Variables) are not supported as %s: tensor %s, dst is %s" % (
            side, tensor.name, operation.name))


def check_references(partition):
    """A run that uses the device and changes variables has all of them there: between host and device no reference is passed."""
    for tensor, operation in _references(partition):
        if operation.name not in partition.offloaded and tensor.op.type in VARIABLES:
            _refuse_reference(tensor, operation)
    for operation in partition.operations:
        for argument, tensor in zip(operation.op_def.input_arg, operation.inputs):
            if argument.is_ref and tensor.op.type in VARIABLES and tensor.op.name not in partition.offloaded \
                    and tensor.dtype.base_dtype != tf.string:
                _refuse_reference(tensor, operation, "args")


def unknown_shape(partition, fed):
    """The first tensor of unknown shape inside or entering the offloaded part; None if all shapes are known."""
    fed_names = {tensor.name for tensor in fed}
    excused = set()  # depend on a checkpoint's file, directly or through another operation
    for operation in partition.operations:
        if operation.type in SHAPED_BY_FILE or any(tensor.op.name in excused for tensor in operation.inputs):
            excused.add(operation.name)
            if operation.type in ASSIGNMENTS:
                excused.discard(operation.name)
            continue
        if operation.name not in partition.offloaded:
            continue
        entering = [tensor for tensor in operation.inputs
                    if tensor.name in fed_names or tensor.op.name not in partition.offloaded]
        for tensor in entering + list(operation.outputs):
            if operation.type == "FusedBatchNormV3" and tensor is operation.outputs[5]:
                continue  # scratch memory for its gradient, whose shape TensorFlow never infers
            if tensor.dtype.base_dtype not in WITHOUT_SHAPE and not tensor.shape.is_fully_defined() \
                    and (tensor.op.type, tensor.value_index) not in PRIVATE:
                return tensor
    return None


def entering_tensors(partition, fed):
    """Tensors that go from the host into the offloaded part, in a fixed order."""
    fed_names = {tensor.name for tensor in fed}
    entering = {}
    for operation in partition.operations:
        if operation.name in partition.offloaded:
            for tensor in operation.inputs:
                if tensor.name in fed_names or tensor.op.name not in partition.offloaded:
                    entering[tensor.name] = tensor
    return [entering[name] for name in sorted(entering)]


def assigned_variables(partition):
    """{name of a variable that the run assigns: whether it is on the device}."""
    assigned = {}
    for operation in partition.operations:
        if operation.type in ASSIGNMENTS:
            variable = operation.inputs[0].op
            while variable.type in ("Switch", "RefSwitch", "Identity", "RefIdentity", "Enter", "RefEnter") and variable.inputs:
                variable = variable.inputs[0].op
            assigned[variable.name] = operation.name in partition.offloaded
    return assigned


def read_variables(partition):
    """Names of variables whose values the offloaded part reads or updates, in the order of the run."""
    for operation in partition.operations:
        if operation.name in partition.offloaded:
            for place, tensor in enumerate(operation.inputs):
                if tensor.op.type in VARIABLES and not (place == 0 and operation.type in ASSIGNMENTS + ("VarIsInitializedOp",
                                                                                                        "IsVariableInitialized")):
                    yield tensor.op.name
