"""What lowers a problem to a program: the forward pass, what nodes hold, and the iteration."""
