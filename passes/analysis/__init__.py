"""What passes ask of a module, changing nothing: graph, families, samples, windows, costs, assignment."""
