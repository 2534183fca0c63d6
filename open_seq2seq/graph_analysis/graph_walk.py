"""Finds the operations that a ``Session.run`` executes, in an order in which inputs come first, and the constants among them."""
import tensorflow.compat.v1 as tf

# TensorFlow's optimizer replaces their results by constants when the shape of their input is known.
_OF_SHAPES = frozenset(["Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike"])
# TensorFlow declares them stateless, but they cannot be replaced by constants.
_NEVER_CONSTANT = frozenset([
    "Placeholder", "PlaceholderV2", "PlaceholderWithDefault", "NoOp", "ControlTrigger", "Enter", "RefEnter", "Exit", "RefExit",
    "Switch", "RefSwitch", "Merge", "RefMerge", "NextIteration", "RefNextIteration", "LoopCond"])


def executed_operations(fetches, feeds=()):
    """The operations that a run of ``fetches`` executes.

    Args:
      fetches: list of tensors and operations.
      feeds: tensors that are fed; the operations that compute them are not executed, but the tensors' own operations are listed.

    Returns:
      List of operations; each one follows its data and control inputs, except at the back edges of loops.
    """
    fed = {tensor.op for tensor in feeds}
    ordered, seen = [], set()
    stack = [(fetch if isinstance(fetch, tf.Operation) else fetch.op, False) for fetch in reversed(fetches)]
    while stack:
        operation, finished = stack.pop()
        if finished:
            ordered.append(operation)
            continue
        if operation in seen:
            continue
        seen.add(operation)
        stack.append((operation, True))
        if operation not in fed:
            stack.extend((predecessor, False) for predecessor in predecessors(operation) if predecessor not in seen)
    return ordered


def predecessors(operation):
    """Operations that precede ``operation``: sources of its data inputs, and control inputs. Back edges of loops are skipped."""
    sources = [tensor.op for tensor in operation.inputs if tensor.op.type not in ("NextIteration", "RefNextIteration")]
    return sources + list(operation.control_inputs)


def folded_constants(operations):
    """The operations that TensorFlow's optimizer replaces by constants before the adapter gets the graph.

    Args:
      operations: list in the order of :func:`executed_operations`.

    Returns:
      Set of operations, including the constants themselves.
    """
    folded = set()
    for operation in operations:
        if operation.type == "Const":
            folded.add(operation)
        elif operation.control_inputs or operation.type in _NEVER_CONSTANT or operation.op_def.is_stateful:
            continue
        elif operation.type in _OF_SHAPES and all(tensor.shape.is_fully_defined() for tensor in operation.inputs):
            folded.add(operation)
        elif len(operation.inputs) and all(tensor.op in folded for tensor in operation.inputs):
            folded.add(operation)
    return folded


def reference_inputs(operation):
    """The input tensors that ``operation`` takes by reference and not by value: variables that it may change."""
    references, position = [], 0
    for argument in operation.op_def.input_arg:
        count = 1
        if argument.number_attr:
            count = operation.get_attr(argument.number_attr)
        elif argument.type_list_attr:
            count = len(operation.get_attr(argument.type_list_attr))
        if argument.is_ref:
            references.extend(operation.inputs[position:position + count])
        position += count
    return references
