def groups(network, layer_decay):
    return [{"params": list(network.parameters())}]
