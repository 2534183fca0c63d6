"""From a checkpoint to a frozen graph: the trained network, its folded weights, the graph, further file formats."""
